"""``python -m calos_telemetry.cli``: the command line where its script is not on the path."""

from calos_telemetry.cli.main import main

main()

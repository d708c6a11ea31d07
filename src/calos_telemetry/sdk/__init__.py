"""What runs inside the application: middleware → policy → obfuscate → record → rollup → report → license."""

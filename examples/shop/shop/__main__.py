"""``python -m shop --port 8000``: run the shop."""

from __future__ import annotations

import argparse

import uvicorn

parser = argparse.ArgumentParser(prog="python -m shop", description="Run the example shop.")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=8000)
arguments = parser.parse_args()
uvicorn.run("shop.main:app", host=arguments.host, port=arguments.port, log_level="warning", timeout_keep_alive=60)

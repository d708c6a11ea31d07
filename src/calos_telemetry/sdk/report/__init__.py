"""What leaves: the report built from rollup rows, the ledger that keeps its exact bytes, the exit gate."""

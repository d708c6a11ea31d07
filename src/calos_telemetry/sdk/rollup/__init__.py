"""Events folded into the aggregated tables: one file per table, called in the order of ``fold.ROLLUPS``."""

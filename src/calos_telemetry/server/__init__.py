"""The vendor's half: verification, intake, analytics, dashboard, administration."""

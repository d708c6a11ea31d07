"""The tables, their migrations, upserts and summary queries; used by the install and by the vendor alike."""

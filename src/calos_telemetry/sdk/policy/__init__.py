"""May we collect, may we send, and why not: decided once, in words, and passed along as a value."""

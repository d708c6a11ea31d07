"""Nothing of a person leaves, is stored or is logged: tests on running applications."""

"""One exchange: who asks, what holds, signed."""

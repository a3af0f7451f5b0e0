"""The training loop, what it trains, and what comes out of it."""

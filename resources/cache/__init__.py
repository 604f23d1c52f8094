"""Redis: a cache and a blackboard, never the truth. What is lost here costs time, not data."""

"""What the operator is told: `health` (/readyz), `durability` (what an answer is worth), `drift` and `unhandled`."""

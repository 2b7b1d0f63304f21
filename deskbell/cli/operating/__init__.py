"""What an operator does and looks up: `queues` (pause, resume), `audit` (who did what)."""

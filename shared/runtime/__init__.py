"""What processes need of the machine: `threads`, `tasks`, `open_files`, `loop_lag`, `blocks`."""

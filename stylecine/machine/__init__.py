"""What the computer has and does: processes, threads, memory, files, interrupts, progress."""

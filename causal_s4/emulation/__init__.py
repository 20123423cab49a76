"""TIME ZERO: find immortal time, refuse it, and emulate the trial that has none."""

"""THE INTERVAL: influence functions that account for estimated weights, and resampling."""

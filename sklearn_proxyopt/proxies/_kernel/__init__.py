"""What a kernel proxy is made of: covariances, processes, warps, and their weighted sum."""

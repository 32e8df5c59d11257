"""Published files: written beside their place, flushed, renamed into it; absent or whole, never half."""

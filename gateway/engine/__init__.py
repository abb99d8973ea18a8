"""Who is it? The port to the matcher and its engines."""

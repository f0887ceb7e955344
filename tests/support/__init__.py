"""What the tests share, a package for each thing it serves; beside them, what all of them use."""

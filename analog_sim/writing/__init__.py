"""How a weight change reaches the cells: one scheme a file, all found by themselves. A scheme never sees a loss or a rule."""

"""For those who must trust us: the main job told in order, and measured."""

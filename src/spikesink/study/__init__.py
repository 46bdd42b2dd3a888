"""What a study is: its settings, how they are read and checked, and the runs that they resolve to."""

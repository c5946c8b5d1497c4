"""ffmpeg's command line: built with ffmpeg-python, run without a shell, its failures named by cause."""

"""Cutting clips against plain ffmpeg."""

"""The structure of music: from a file to `contracts.kinds.music.Music`. The way in is `analysis.analyse`.

decode -> features -> parts (music, talk, applause, silence) -> for each song: beats -> bars -> similarity ->
segmentation -> labels -> functions -> highlights.
"""

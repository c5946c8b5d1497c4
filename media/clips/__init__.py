"""From a local video and a `Cut` to a finished clip: `media.clips.cut.cut_clip` is the engine's one entrance."""

"""Every scene there is, by name, in the order in which they are listed."""

from __future__ import annotations

from collections.abc import Mapping

from providers.hostile import bodies, breaking, echoing, flooding, refusing, words
from providers.hostile.scene import Scene

SCENES: Mapping[str, Scene] = {
    scene.name: scene
    for part in (refusing, breaking, flooding, bodies, words, echoing)
    for scene in part.SCENES
}

"""The kinds of cars: which vehicle stands where, in which light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.intake.sample import fields_and_woods, shores_and_wilds, streets
from jobs.intake.sample.body import Body
from jobs.intake.sample.canvas import Colour, colour
from jobs.intake.sample.cars import Light
from jobs.intake.sample.family_cars import HATCHBACK, LIMOUSINE, POLICE, SEDAN, TAXI
from jobs.intake.sample.heavy_vehicles import BUS, FIRE_ENGINE
from jobs.intake.sample.leisure_cars import BEETLE, CONVERTIBLE, COUPE
from jobs.intake.sample.scenery import Stage
from jobs.intake.sample.utility_vehicles import CAMPER, OFFROADER, PICKUP, VAN


@dataclass(frozen=True)
class Scene:
    paint: Callable[[Stage], None]
    light: Light = field(default_factory=Light)
    veil: Callable[[Stage], None] | None = None
    """Painted over the vehicle."""


@dataclass(frozen=True)
class Kind:
    name: str
    body: Body
    paint: Colour
    scene: Scene
    second: Colour = (255, 255, 255)
    """The bodywork's other colour, where it has one."""


def _light(ambient: str, sky: str, lamps: bool = False, shadow: float = 0.5) -> Light:
    return Light(colour(ambient), colour(sky), lamps, shadow)


COAST = Scene(shores_and_wilds.coast)
BEACH = Scene(shores_and_wilds.beach, _light("fff0ea", "ffd0c0"))
SNOW = Scene(shores_and_wilds.snow, _light("f4f6ff", "e6f0fa", shadow=0.35), shores_and_wilds.snowfall)
DESERT = Scene(shores_and_wilds.desert, _light("fff8ea", "e6f2e2"))
WHEAT = Scene(fields_and_woods.wheat, _light("fff6e0", "fdf0d0"))
TULIPS = Scene(fields_and_woods.tulips)
AUTUMN = Scene(fields_and_woods.autumn, _light("fff0dc", "fbe3b4"), fields_and_woods.falling_leaves)
PARK = Scene(fields_and_woods.park)
TOWN = Scene(streets.town)
CITY = Scene(streets.city, _light("fcfcfc", "e2f0fc"))
RAIN = Scene(streets.rain, _light("eaf0f4", "c8d6de", lamps=True, shadow=0.25), streets.wet)
NIGHT = Scene(streets.night, _light("a4a8d8", "6a70b0", lamps=True, shadow=0.7))
DUSK = Scene(streets.dusk, _light("f0c4d0", "ff9a7a", lamps=True, shadow=0.6))
BRIDGE = Scene(streets.bridge)

KINDS = (
    Kind("Red Coupe on a Coast Road", COUPE, colour("d7263d"), COAST),
    Kind("Yellow School Bus in Town", BUS, colour("f7b518"), TOWN),
    Kind("Green Pickup in a Wheat Field", PICKUP, colour("2f8a55"), WHEAT),
    Kind("White Camper in the Snow", CAMPER, colour("f6f4ec"), SNOW, colour("3aa6a0")),
    Kind("Blue Hatchback at Night", HATCHBACK, colour("3f8cf0"), NIGHT),
    Kind("Silver Sedan in the City", SEDAN, colour("c6d0dc"), CITY),
    Kind("Orange Beetle in the Desert", BEETLE, colour("f0762a"), DESERT),
    Kind("Black Limousine at Dusk", LIMOUSINE, colour("23242e"), DUSK),
    Kind("Yellow Taxi in the Rain", TAXI, colour("f8c41e"), RAIN),
    Kind("Police Car on the Bridge", POLICE, colour("24489a"), BRIDGE),
    Kind("Fire Engine by the Park", FIRE_ENGINE, colour("d62f2f"), PARK),
    Kind("Turquoise Convertible at the Beach", CONVERTIBLE, colour("22b2b0"), BEACH),
    Kind("Violet Van in the Tulip Fields", VAN, colour("7a4fb8"), TULIPS, colour("f5a3c7")),
    Kind("Olive Off-Roader in the Autumn Forest", OFFROADER, colour("76843a"), AUTUMN),
)
"""A picture's class is its kind's place here, from 1."""

"""A vapour-compression heat pump that heats a house, from real fluid properties.

R32 evaporates in a brine loop, is compressed, condenses in the water loop of the house and
expands again. For 10 kW of heat the six numbers that an engineer may choose set the pressures,
the flows and so the electric power. CoolProp gives the states of the refrigerant; where there is
no such state, as above the critical temperature, it raises, and so does the simulator.

One run takes about a millisecond, which stands here for the minutes of a real simulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

HEAT = 10_000.0  # W into the water
WATER_IN = 35.0  # degrees Celsius, back from the house
WATER_OUT = 43.0  # degrees Celsius that the house needs at least
BRINE_IN = 2.0  # degrees Celsius, from the ground
WATER_HEAT_CAPACITY = 4180.0  # J/(kg K)
BRINE_HEAT_CAPACITY = 3900.0  # J/(kg K)
PINCH = 3.0  # K, the least difference between two streams
DISCHARGE_LIMIT = 110.0  # degrees Celsius that the compressor's oil bears
LEAST_SUPERHEAT = 5.0  # K, below which droplets reach the compressor
MOTOR_EFFICIENCY = 0.92
ZERO_CELSIUS = 273.15

NAMES = [
    "evaporation temperature",
    "condensation temperature",
    "superheat",
    "subcooling",
    "water flow",
    "brine flow",
]
UNITS = ["°C", "°C", "K", "K", "kg/s", "kg/s"]
BOUNDS = np.array(
    [[-20.0, 0.0], [38.0, 82.0], [1.0, 20.0], [1.0, 20.0], [0.15, 0.50], [0.20, 1.20]]
)


@dataclass
class Cycle:
    """One operating point: powers in W, temperatures in degrees Celsius, enthalpies in J/kg."""

    heat_out: float
    heat_in: float
    shaft_power: float
    electric_power: float
    discharge_temperature: float
    enthalpies: tuple[float, float, float, float]
    excess: dict[str, float]

    @property
    def cop(self) -> float:
        """Coefficient of performance: heat delivered per electric power."""
        return self.heat_out / self.electric_power

    @property
    def penalty(self) -> float:
        """What the limits cost: 0.3 of COP for each kelvin beyond one, rounded within 0.1 K."""
        beyond = np.maximum(list(self.excess.values()), 0.0)
        return float(0.3 * (np.sqrt(beyond**2 + 0.1**2) - 0.1).sum())


@cache
def _refrigerant() -> tuple[Any, Any]:
    import CoolProp

    return CoolProp, CoolProp.AbstractState("HEOS", "R32")


def simulate(x: np.ndarray) -> Cycle:
    """Compute the cycle at one row of the six variables; see `NAMES`, `UNITS` and `BOUNDS`.

    Raises ValueError where the refrigerant has no such state.
    """
    coolprop, state = _refrigerant()
    evaporation, condensation, superheat, subcooling, water_flow, brine_flow = map(float, x)

    def saturation_pressure(celsius: float) -> float:
        state.update(coolprop.QT_INPUTS, 1.0, celsius + ZERO_CELSIUS)
        return state.p()

    low, high = saturation_pressure(evaporation), saturation_pressure(condensation)
    vapour_enthalpy = state.hmass()  # dry vapour at the condenser's pressure

    # 1: into the compressor; 2: out of it; 3: out of the condenser; 4: into the evaporator.
    state.update(coolprop.PT_INPUTS, low, evaporation + superheat + ZERO_CELSIUS)
    h1, entropy = state.hmass(), state.smass()
    state.update(coolprop.PSmass_INPUTS, high, entropy)
    efficiency = 0.76 - 0.02 * (high / low - 3.0) ** 2 / 3.0
    h2 = h1 + (state.hmass() - h1) / max(efficiency, 0.2)
    state.update(coolprop.HmassP_INPUTS, h2, high)
    discharge = state.T() - ZERO_CELSIUS
    state.update(coolprop.PT_INPUTS, high, condensation - subcooling + ZERO_CELSIUS)
    h3 = state.hmass()

    flow = HEAT / (h2 - h3)
    heat_in = flow * (h1 - h3)
    shaft_power = flow * (h2 - h1)
    pumps = 1500.0 * water_flow**3 + 120.0 * brine_flow**3
    electric_power = shaft_power / MOTOR_EFFICIENCY + pumps

    water_out = WATER_IN + HEAT / (water_flow * WATER_HEAT_CAPACITY)
    water_at_dew = WATER_IN + flow * (vapour_enthalpy - h3) / (water_flow * WATER_HEAT_CAPACITY)
    brine_out = BRINE_IN - heat_in / (brine_flow * BRINE_HEAT_CAPACITY)
    excess = {
        "condenser pinch": PINCH - (condensation - water_at_dew),
        "liquid against water": PINCH - (condensation - subcooling - WATER_IN),
        "evaporator pinch": PINCH - (brine_out - evaporation),
        "vapour against brine": PINCH - (BRINE_IN - evaporation - superheat),
        "water too cold": WATER_OUT - water_out,
        "discharge too hot": discharge - DISCHARGE_LIMIT,
        "droplets": LEAST_SUPERHEAT - superheat,
    }
    return Cycle(
        heat_out=HEAT,
        heat_in=heat_in,
        shaft_power=shaft_power,
        electric_power=electric_power,
        discharge_temperature=discharge,
        enthalpies=(h1, h2, h3, h3),
        excess=excess,
    )


def loss(x: np.ndarray) -> float:
    """Return what is minimised: minus the COP, plus the penalty of limits exceeded."""
    cycle = simulate(x)
    return cycle.penalty - cycle.cop

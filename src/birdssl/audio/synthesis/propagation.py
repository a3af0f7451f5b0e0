"""What distance does to a call: spreading, absorption by air and leaves, and echoes.

Air follows ISO 9613-1. Leaves, trunks and turbulence take `0.02 * f_kHz` dB a metre more (our choice; Marten and
Marler 1977 found about 5-10 dB per 100 m beyond spreading for song frequencies in woods). The tail is noise that decays
exponentially, faster for high frequencies, and weighs more the farther the caller is, since the direct sound falls with
distance while the diffuse field stays.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

KELVIN = 293.15
SPEED_OF_SOUND = 343.0  # m/s at 20 degrees


def air_absorption(frequency: NDArray, celsius: float = 20.0, humidity: float = 70.0) -> NDArray:
    """Absorption of air in dB a metre (ISO 9613-1, at one atmosphere); `humidity` is relative, in percent."""
    kelvin = celsius + 273.15
    ratio = kelvin / KELVIN
    saturation = 10 ** (-6.8346 * (273.16 / kelvin) ** 1.261 + 4.6151)
    water = humidity * saturation
    oxygen = 24 + 4.04e4 * water * (0.02 + water) / (0.391 + water)
    nitrogen = ratio**-0.5 * (9 + 280 * water * np.exp(-4.170 * (ratio ** (-1 / 3) - 1)))
    square = np.square(frequency)
    relaxation = 0.01275 * np.exp(-2239.1 / kelvin) / (oxygen + square / oxygen)
    relaxation += 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen + square / nitrogen)
    return 8.686 * square * (1.84e-11 * ratio**0.5 + ratio**-2.5 * relaxation)


def attenuation(frequency: NDArray, metres: float, celsius: float = 20.0, humidity: float = 70.0) -> NDArray:
    """Loss in dB between 1 m and `metres` from the caller: spherical spreading, air, and vegetation."""
    excess = 0.02 * frequency / 1000
    path = max(metres - 1, 0.0)
    return 20 * np.log10(max(metres, 1.0)) + path * (air_absorption(frequency, celsius, humidity) + excess)


def propagate(
    call: NDArray,
    rate: int,
    generator: np.random.Generator,
    *,
    metres: float,
    reverberation: float,
    response: Callable[[NDArray], NDArray] = np.ones_like,
) -> NDArray[np.float32]:
    """The call as it arrives from `metres` away, with its tail appended; (n,) in, (n + tail,) out.

    `reverberation` is the time in seconds in which the tail falls by 60 dB; 0 gives the direct sound alone. `response`
    is the microphone's gain over frequency in Hz.
    """
    tail = _tail(rate, generator, metres, reverberation)
    size = fft.next_fast_len(len(call) + len(tail), real=True)
    frequency = fft.rfftfreq(size, 1 / rate).astype(np.float32)
    spectrum = fft.rfft(call.astype(np.float32), size)
    spectrum *= response(frequency) * 10 ** (-attenuation(frequency, metres) / 20)
    if len(tail):
        darkening = 1 / (1 + (frequency / 5000) ** 2)
        spectrum *= 1 + darkening * fft.rfft(tail, size)
    return fft.irfft(spectrum, size)[: len(call) + len(tail)].astype(np.float32)


def _tail(rate: int, generator: np.random.Generator, metres: float, reverberation: float) -> NDArray:
    """Impulse response after the direct sound: two single echoes, then decaying noise."""
    length = round(0.7 * reverberation * rate)
    if length < 2:
        return np.zeros(0, np.float32)
    time = np.arange(length, dtype=np.float32) / rate
    tail = generator.standard_normal(length, dtype=np.float32) * 10 ** (-3 * time / reverberation)
    # Diffuse energy relative to the direct sound: equal at 120 m, and in proportion to distance.
    tail *= np.sqrt(metres / 120 / np.sum(np.square(tail)))
    for _ in range(2):
        delay = generator.uniform(5, 40) / SPEED_OF_SOUND
        index = round(delay * rate)
        if index < length:
            tail[index] += generator.uniform(0.05, 0.25)
    tail[0] = 0
    return tail

"""DICOM files with made pixels, and what they should be shown as.

What is expected is computed by pydicom (LUTs, windows, colours), then scaled to 16 bits as `shared/decode/src/dicom/shades.rs`
says. Each case has a tolerance, in steps of what comes out: 0, or 1 where shades of a window or colours are rounded.
"""

import copy
import dataclasses

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS = 36, 40


@dataclasses.dataclass
class Case:
    name: str
    dataset: Dataset
    # Of 16 bits, or of 8 for colours and for grey that stays as it is.
    expected: np.ndarray
    tolerance: int = 0


def drawing(bits, signed=False, seed=1):
    """A gradient with a bright disc and noise, over most of the range of so many bits."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    disc = (x - 16) ** 2 + (y - 20) ** 2 < 90
    values = 0.1 + 0.6 * x / COLUMNS + 0.2 * disc + random.normal(0, 0.02, (ROWS, COLUMNS))
    values = np.clip(values, 0, 1) * (2**bits - 1)
    values = values.astype(np.int64) - (2 ** (bits - 1) if signed else 0)
    return values


def dataset(values, bits, photometric="MONOCHROME2", signed=False, allocated=None, high=None, **more):
    """A radiograph of these values, of shape rows × columns or rows × columns × 3."""
    allocated = allocated or (8 if bits <= 8 else 16)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["pumua"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = "1.2.3.4"
    made = Dataset()
    made.file_meta = meta
    made.SOPClassUID = meta.MediaStorageSOPClassUID
    made.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    made.Modality = "DX"
    made.SamplesPerPixel = 1 if values.ndim == 2 else values.shape[2]
    made.PhotometricInterpretation = photometric
    if made.SamplesPerPixel > 1:
        made.PlanarConfiguration = 0
    made.Rows, made.Columns = values.shape[:2]
    made.BitsAllocated, made.BitsStored = allocated, bits
    made.HighBit = bits - 1 if high is None else high
    made.PixelRepresentation = int(signed)
    stored = (values.astype(np.int64) & (2**bits - 1)) << (made.HighBit + 1 - bits)
    if signed and made.HighBit == bits - 1:
        stored = values.astype(np.int64) & (2**allocated - 1)
    data = stored.astype("<u1" if allocated == 8 else "<u2").tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB" if allocated == 8 else "OW"
    for name, value in more.items():
        setattr(made, name, value)
    return made


def table(first, bits, entries, signed=False):
    item = Dataset()
    item.add_new(0x00283002, "SS" if signed else "US", [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "OW", np.asarray(entries, "<u2").tobytes())
    return Sequence([item])


def rounded(shades):
    return np.floor(np.clip(shades, 0, 1) * 65535 + 0.5).astype(np.uint16)


def range_of(values, ignored=None):
    """The range of the values, but for one in 200 at either end."""
    kept = np.sort(values[~ignored] if ignored is not None else values.ravel())
    return kept[len(kept) // 200], kept[-1 - len(kept) // 200]


def spread(values, ignored=None):
    """That range, over all shades."""
    least, most = range_of(values, ignored)
    return rounded((values - least) / (most - least) if most > least else np.zeros(values.shape))


def is_sensible(made, measured, ignored):
    """Whether the window can have been meant: see `shades.rs`."""
    if "WindowCenter" not in made:
        return False
    centre, width = (float(np.ravel(made[name].value)[0]) for name in ["WindowCenter", "WindowWidth"])
    if made.get("VOILUTFunction", "LINEAR") == "LINEAR":
        width -= 1
    least, most = range_of(measured, ignored)
    common = min(centre + width / 2, most) - max(centre - width / 2, least)
    return width > 0 and common > 0 and common >= width / 10 and common >= (most - least) / 10


def by_table(made, measured, ignored):
    """The shades that the table of values of interest makes, if it can have been meant: see `shades.rs`."""
    if not made.get("VOILUTSequence"):
        return None
    # pydicom takes the place in the table for a number of the table's own kind, which may be too small.
    item = made.VOILUTSequence[0]
    count, first, bits = item.LUTDescriptor
    entries = np.frombuffer(item.LUTData, "<u2") if isinstance(item.LUTData, bytes) else np.asarray(item.LUTData)

    def at(values):
        return entries[np.clip(np.asarray(values).astype(np.int64) - first, 0, (count or 65536) - 1)] / (2**bits - 1)

    least, most = at(range_of(measured, ignored))
    full = entries[: count or 65536].max() >= 2 ** (bits - 1)
    return at(measured) if full and abs(most - least) >= 0.1 else None


def shown(made, values=None):
    """What a data set should be shown as, by pydicom."""
    values = made.pixel_array if values is None else values
    photometric = made.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        return apply_color_lut(values, made)
    if made.SamplesPerPixel == 3:
        return values
    ignored = None
    if "PixelPaddingValue" in made:
        other = made.get("PixelPaddingRangeLimit", made.PixelPaddingValue)
        least, most = sorted([made.PixelPaddingValue, other])
        ignored = (values >= least) & (values <= most)
    measured = apply_modality_lut(values, made)
    table_shades = by_table(made, measured, ignored)
    if table_shades is not None:
        shades = rounded(table_shades)
    elif is_sensible(made, measured, ignored):
        plain = copy.deepcopy(made)
        for name in ["ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "VOILUTSequence"]:
            if name in plain:
                delattr(plain, name)
        # Grey values from 0 to 1.
        plain.BitsStored, plain.PixelRepresentation = 1, 0
        shades = rounded(apply_voi_lut(measured.astype(np.float64), plain))
    elif made.BitsStored == 8 and not made.PixelRepresentation and not {"ModalityLUTSequence", "RescaleSlope"} & set(made.dir()):
        if photometric == "MONOCHROME2" and made.get("PresentationLUTShape") != "INVERSE" and ignored is None:
            return values.astype(np.uint8)
        shades = values.astype(np.uint16) * 257
    else:
        shades = spread(measured.astype(np.float64), ignored)
    if photometric == "MONOCHROME1" or made.get("PresentationLUTShape") == "INVERSE":
        shades = 65535 - shades
    if ignored is not None:
        shades[ignored] = 0
    return shades


def case(name, made, tolerance=0, expected=None):
    return Case(name, made, shown(made) if expected is None else expected, tolerance)


def photometric():
    """Cases whose files are committed, and compared by `cargo test -p decode`."""
    for bits in [8, 10, 12, 14, 15, 16]:
        yield case(f"range-{bits}-bits", dataset(drawing(bits), bits))
        yield case(f"range-{bits}-bits-signed", dataset(drawing(bits, True), bits, signed=True))
    eight, twelve = drawing(8), drawing(12)
    yield case("eight-bits-in-sixteen", dataset(eight, 8, allocated=16))
    yield case("left-justified", dataset(twelve, 12, high=15), expected=spread(twelve))
    overlay = dataset(twelve, 12)
    overlay.PixelData = (np.frombuffer(overlay.PixelData, "<u2") | 0x9000).tobytes()
    yield case("overlay-in-upper-bits", overlay, expected=spread(twelve))
    inverse = {"photometric": "MONOCHROME1"}
    yield case("monochrome1", dataset(twelve, 12, **inverse))
    yield case("monochrome1-eight-bits", dataset(eight, 8, **inverse))
    for shape in ["IDENTITY", "INVERSE"]:
        yield case(f"shape-{shape.lower()}", dataset(twelve, 12, PresentationLUTShape=shape))
    yield case("monochrome1-shape-inverse", dataset(twelve, 12, PresentationLUTShape="INVERSE", **inverse))
    window = {"WindowCenter": "1900", "WindowWidth": "2100"}
    yield case("window", dataset(twelve, 12, **window), 1)
    yield case("window-monochrome1", dataset(twelve, 12, **window, **inverse), 1)
    several = {"WindowCenter": ["1700.5", "400"], "WindowWidth": ["1900.25", "10"]}
    yield case("window-first-of-several", dataset(twelve, 12, **several), 1)
    for function in ["LINEAR", "LINEAR_EXACT", "SIGMOID"]:
        made = dataset(twelve, 12, VOILUTFunction=function, **window)
        yield case(f"window-{function.lower().replace('_', '-')}", made, 1)
    yield case("window-eight-bits", dataset(eight, 8, WindowCenter="100", WindowWidth="120"), 1)
    for name, centre, width in [("zero", "2000", "0"), ("narrow", "2000", "3"), ("elsewhere", "60000", "500"), ("wide", "0", "1e6"), ("negative", "2000", "-400")]:
        made = dataset(twelve, 12, WindowCenter=centre, WindowWidth=width)
        yield case(f"window-absurd-{name}", made)
    rescale = {"RescaleSlope": "0.25", "RescaleIntercept": "-100"}
    yield case("rescale", dataset(twelve, 12, **rescale))
    yield case("rescale-falling", dataset(twelve, 12, RescaleSlope="-1", RescaleIntercept="4095"))
    yield case("rescale-window", dataset(twelve, 12, WindowCenter="350", WindowWidth="500", **rescale), 1)
    yield case("rescale-signed-window", dataset(drawing(12, True), 12, signed=True, WindowCenter="0", WindowWidth="700", **rescale), 1)
    curve = (np.arange(4096) ** 2 // 4096).astype(np.uint16)
    modality = {"ModalityLUTSequence": table(0, 16, curve * 15)}
    yield case("modality-table", dataset(twelve, 12, **modality))
    yield case("modality-table-window", dataset(twelve, 12, WindowCenter="20000", WindowWidth="30000", **modality), 1)
    voi = {"VOILUTSequence": table(500, 12, curve[:3000])}
    yield case("voi-table", dataset(twelve, 12, **voi))
    yield case("voi-table-monochrome1", dataset(twelve, 12, **voi, **inverse))
    yield case("voi-table-before-window", dataset(twelve, 12, **voi, **window))
    for depth in [14, 16]:
        # Entries of 12 bits, whatever is said of them.
        wrong = {"VOILUTSequence": table(0, depth, curve)}
        yield case(f"voi-table-absurd-{depth}-bits", dataset(twelve, 12, **wrong))
    yield case("voi-table-absurd-window", dataset(twelve, 12, **wrong, **window), 1)
    yield case("voi-table-absurd-elsewhere", dataset(twelve, 12, VOILUTSequence=table(40000, 12, curve)))
    signed = {"VOILUTSequence": table(-2048, 10, curve[:4096] // 4, signed=True)}
    yield case("voi-table-signed", dataset(drawing(12, True), 12, signed=True, **signed))
    yield case("voi-table-65536", dataset(drawing(16), 16, VOILUTSequence=table(0, 16, np.arange(65536)[::-1])))
    padded = twelve.copy()
    padded[:5], padded[:, -7:] = 0, 4095
    yield case("padding", dataset(padded, 12, PixelPaddingValue=0))
    yield case("padding-monochrome1", dataset(padded, 12, PixelPaddingValue=4095, **inverse))
    yield case("padding-range", dataset(padded, 12, PixelPaddingValue=0, PixelPaddingRangeLimit=900))
    negative = drawing(12, True)
    negative[:6] = -2000
    made = dataset(negative, 12, signed=True)
    made.add_new(0x00280120, "SS", -2000)
    yield case("padding-signed", made)
    colours = np.stack([drawing(8, seed=n) for n in range(3)], axis=2).astype(np.uint8)
    yield case("rgb", dataset(colours, 8, "RGB"))
    planes = dataset(colours, 8, "RGB")
    planes.PlanarConfiguration, planes.PixelData = 1, colours.transpose(2, 0, 1).tobytes()
    yield case("rgb-planes", planes)
    deep = np.stack([drawing(16, seed=n) for n in range(3)], axis=2).astype(np.uint16)
    yield case("rgb-16-bits", dataset(deep, 16, "RGB"))
    ybr = dataset(colours, 8, "YBR_FULL")
    yield case("ybr-full", ybr, 1, convert_color_space(colours, "YBR_FULL", "RGB"))
    y, blue, red = colours[..., 0], colours[:, ::2, 1], colours[:, ::2, 2]
    pairs = np.stack([y[:, ::2], y[:, 1::2], blue, red], axis=2)
    half = dataset(colours, 8, "YBR_FULL_422")
    half.PixelData = pairs.tobytes()
    whole = np.stack([y, blue.repeat(2, axis=1), red.repeat(2, axis=1)], axis=2)
    yield case("ybr-full-422", half, 1, convert_color_space(whole, "YBR_FULL", "RGB"))
    for depth in [8, 16]:
        made = dataset(eight, 8, "PALETTE COLOR")
        for number, name in enumerate(["Red", "Green", "Blue"]):
            entries = (np.arange(200) * (number + 1) * (2**depth // 256)) % 2**depth
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [200, 10, depth])
            setattr(made, f"{name}PaletteColorLookupTableData", entries.astype("<u1" if depth == 8 else "<u2").tobytes())
        yield case(f"palette-{depth}-bits", made)


def compressed():
    """The same drawings by pydicom's encoders: run lengths and JPEG 2000 without loss."""
    from pydicom.uid import JPEG2000Lossless, RLELossless

    colours = np.stack([drawing(8, seed=n) for n in range(3)], axis=2).astype(np.uint8)
    pictures = [
        ("8-bits", dataset(drawing(8), 8)),
        ("12-bits", dataset(drawing(12), 12)),
        ("16-bits-signed", dataset(drawing(16, True), 16, signed=True)),
        ("rgb", dataset(colours, 8, "RGB")),
    ]
    for name, made in pictures:
        expected = shown(made)
        for kind, syntax in [("rle", RLELossless), ("jpeg2000", JPEG2000Lossless)]:
            other = copy.deepcopy(made)
            other.compress(syntax, generate_instance_uid=False)
            yield case(f"{kind}-{name}", other, expected=expected)

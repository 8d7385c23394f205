#!/usr/bin/env python3
"""Compares the pixels that the box makes of DICOM files with those that pydicom makes: of files written by pydicom, by
dcmtk's tools and by gdcm's, and of those that pydicom brings for its own tests.

    check.py PROGRAM

PROGRAM is the example `pixels` of the crate `decode`. Fails if a pixel differs by more than the case's tolerance, or if a file
is refused that should not be, or the other way round.
"""

import collections
import copy
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zlib

import cases
import numpy as np
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000

# Files of pydicom's whose pixels are refused, and why.
REFUSED_KINDS = {"unsupported-compression", "too-small", "animated", "unsupported-colour"}

# Files of pydicom's that contradict themselves: the pixels are signed, or are not, by the data set or by the picture.
# pydicom follows the picture.
CONTRADICTIONS = {"J2K_pixelrep_mismatch"}
# Fewest files of pydicom's that must be found, and fewest whose pixels must have been compared.
LEAST_FOUND, LEAST_COMPARED = 50, 30


class Matrix:
    """Files, and what is expected of them: pixels and a tolerance, or the word of a refusal."""

    def __init__(self, folder):
        self.folder = folder
        self.files = []

    def path(self, name):
        return self.folder / f"{name}.dcm"

    def expect(self, name, expected, tolerance=0):
        self.files.append((name, expected, tolerance))

    def add(self, case):
        case.dataset.save_as(self.path(case.name), enforce_file_format=True)
        self.expect(case.name, case.expected, case.tolerance)


def tool(*arguments):
    subprocess.run([str(argument) for argument in arguments], check=True, stdout=subprocess.DEVNULL)


def encodings(matrix):
    """Each drawing, in every way to write a data set."""
    colours = np.stack([cases.drawing(8, seed=n) for n in range(3)], axis=2).astype(np.uint8)
    window = {"WindowCenter": "1900", "WindowWidth": "2100"}
    curve = np.arange(4096) ** 2 // 4096
    pictures = [
        ("8", cases.dataset(cases.drawing(8), 8), 0),
        ("12", cases.dataset(cases.drawing(12), 12, VOILUTSequence=cases.table(0, 12, curve)), 0),
        ("12-window", cases.dataset(cases.drawing(12), 12, **window), 1),
        ("16-signed", cases.dataset(cases.drawing(16, True), 16, signed=True), 0),
        ("rgb", cases.dataset(colours, 8, "RGB"), 0),
    ]
    for picture, made, tolerance in pictures:
        expected = cases.shown(made)

        def write(kind, syntax=None, **options):
            other = copy.deepcopy(made)
            if syntax:
                other.file_meta.TransferSyntaxUID = syntax
            other.save_as(matrix.path(f"{kind}-{picture}"), **options)
            matrix.expect(f"{kind}-{picture}", expected, tolerance)

        write("explicit", enforce_file_format=True)
        write("implicit", ImplicitVRLittleEndian, enforce_file_format=True)
        write("deflated", DeflatedExplicitVRLittleEndian, enforce_file_format=True)
        source = matrix.path(f"explicit-{picture}")
        whole = source.read_bytes()
        for name, data in [("no-preamble", whole[132:]), ("no-meta", without_meta(whole)), ("no-meta-preamble", whole[:132] + without_meta(whole))]:
            matrix.path(f"{name}-{picture}").write_bytes(data)
            matrix.expect(f"{name}-{picture}", expected, tolerance)
        implicit = without_meta(matrix.path(f"implicit-{picture}").read_bytes())
        matrix.path(f"no-meta-implicit-{picture}").write_bytes(implicit)
        matrix.expect(f"no-meta-implicit-{picture}", expected, tolerance)
        deflated = matrix.path(f"deflated-{picture}").read_bytes()
        packed = without_meta(deflated)
        data_set = zlib.decompress(packed, -zlib.MAX_WBITS)
        wrapped = zlib.compress(data_set)
        for name, data in [
            ("deflated-odd", wrapped[2:-4] + b" "),
            ("deflated-zlib", wrapped),
            ("deflated-zlib-filled", wrapped + bytes(512)),
            ("deflated-checksum", wrapped[2:]),
        ]:
            matrix.path(f"{name}-{picture}").write_bytes(deflated[: -len(packed)] + data)
            matrix.expect(f"{name}-{picture}", expected, tolerance)
        by_gdcm(matrix, picture, expected, tolerance)
        for name, command in DCMTK_LOSSLESS.items():
            target = matrix.path(f"{name}-{picture}")
            if "+e1" in command and picture == "16-signed" or shutil.which(command[0]) is None:
                continue
            tool(*command, source, target)
            matrix.expect(target.stem, expected, tolerance)
        if picture in ["8", "rgb"]:
            for name, command in DCMTK_LOSSY.items():
                target = matrix.path(f"{name}-{picture}")
                tool(*command, source, target)
                written = pydicom.dcmread(target)
                pixels = written.pixel_array
                matrix.expect(target.stem, cases.shown(written, pixels) if picture == "8" else pixels, 4)
            other = copy.deepcopy(made)
            other.compress(JPEG2000, j2k_cr=[8], generate_instance_uid=False)
            other.save_as(matrix.path(f"jpeg2000-lossy-{picture}"), enforce_file_format=True)
            matrix.expect(f"jpeg2000-lossy-{picture}", other.pixel_array, 2)
        target = matrix.path(f"jpegls-{picture}")
        tool("dcmcjpls", source, target)
        matrix.expect(target.stem, "unsupported-compression")
    target = matrix.path("jpeg-12-bits-lossy")
    tool("dcmcjpeg", "+ee", matrix.path("explicit-12"), target)
    matrix.expect(target.stem, "unsupported-compression")


DCMTK_LOSSLESS = {
    "dcmtk-implicit": ["dcmconv", "+ti"],
    "dcmtk-big-endian": ["dcmconv", "+tb"],
    "dcmtk-undefined-lengths": ["dcmconv", "-e"],
    "dcmtk-deflated": ["dcmconv", "+td"],
    "dcmtk-rle": ["dcmcrle"],
    "jpeg-lossless": ["dcmcjpeg", "+e1"],
    **{f"jpeg-lossless-{predictor}": ["dcmcjpeg", "+el", "+sv", predictor] for predictor in range(1, 8)},
}
DCMTK_LOSSY = {
    "jpeg-baseline": ["dcmcjpeg", "+eb"],
    "jpeg-extended": ["dcmcjpeg", "+ee", "+be"],
}


def by_gdcm(matrix, picture, expected, tolerance):
    """A drawing, in every way in which gdcm's tool writes it."""
    if shutil.which("gdcmconv") is None:
        return
    source = matrix.path(f"explicit-{picture}")
    for name, options in GDCM_LOSSLESS.items():
        target = matrix.path(f"gdcm-{name}-{picture}")
        tool("gdcmconv", *options, source, target)
        matrix.expect(target.stem, expected, tolerance)
    target = matrix.path(f"gdcm-jpegls-{picture}")
    tool("gdcmconv", "--jpegls", source, target)
    matrix.expect(target.stem, "unsupported-compression")
    # Of the others pydicom does not say what they should look like: gdcm makes differences of colours and calls them RGB.
    lossy = {"8": GDCM_LOSSY, "rgb": {"j2k-lossy": GDCM_LOSSY["j2k-lossy"]}}
    for name, options in lossy.get(picture, {}).items():
        target = matrix.path(f"gdcm-{name}-{picture}")
        tool("gdcmconv", *options, source, target)
        written = pydicom.dcmread(target)
        pixels = written.pixel_array
        matrix.expect(target.stem, cases.shown(written, pixels) if picture == "8" else pixels, 4)
    if picture == "12":
        target = matrix.path("gdcm-jpeg-12-bits-lossy")
        tool("gdcmconv", "--jpeg", "--lossy", source, target)
        matrix.expect(target.stem, "unsupported-compression")


GDCM_LOSSLESS = {
    "explicit": ["--explicit"],
    "implicit": ["--implicit"],
    "raw": ["--raw"],
    "deflated": ["--deflated"],
    "planes": ["--raw", "--planar-configuration", "1"],
    "rle": ["--rle"],
    "jpeg": ["--jpeg"],
    "j2k": ["--j2k"],
    "j2k-tiles": ["--j2k", "--tile", "32,32"],
}
GDCM_LOSSY = {
    "jpeg-lossy": ["--jpeg", "--lossy", "-q", "92"],
    "j2k-lossy": ["--j2k", "--lossy", "-r", "6"],
}


def without_meta(whole):
    """The data set alone."""
    length = int.from_bytes(whole[140:144], "little")
    return whole[144 + length :]


def own_files(matrix):
    """The files that pydicom brings, as radiographs."""
    # Not by `pydicom.data`, which would fetch some from elsewhere.
    for path in sorted(pathlib.Path(pydicom.__file__).parent.glob("data/test_files/*.dcm")):
        try:
            read = pydicom.dcmread(path)
            pixels = read.pixel_array
        except Exception:
            # Without pixels, or of a kind that pydicom does not decode either.
            continue
        name = f"pydicom-{path.stem}"
        read.Modality = "DX"
        for personal in ["BodyPartExamined", "SeriesDescription", "ViewPosition", "PatientPosition", "PatientOrientation", "ImageType"]:
            if personal in read:
                delattr(read, personal)
        read.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        try:
            read.save_as(matrix.path(name))
            if read.get("NumberOfFrames", 1) > 1 or read.BitsAllocated > 16:
                expected = REFUSED_KINDS
            elif path.stem in CONTRADICTIONS:
                expected = "corrupt"
            else:
                expected = cases.shown(read, pixels)
        except Exception as error:
            print(f"left out: {name}: {str(error).splitlines()[0]}")
            continue
        matrix.expect(name, expected, 4 if any(word in name.lower() for word in ["lossy", "jpeg", "j2ki", "+eb"]) else 1)


def compare(expected, tolerance, answer, pixels):
    """What is wrong with an answer, and the greatest difference."""
    if isinstance(expected, (str, set)):
        expected = {expected} if isinstance(expected, str) else expected
        return (None if answer in expected else f"not refused as {sorted(expected)}"), None
    height, width = expected.shape[:2]
    words = answer.split()
    if len(words) != 4:
        # Nothing is claimed of these.
        return ("refused" if answer not in REFUSED_KINDS else answer), None
    if (int(words[0]), int(words[1])) != (width, height):
        return "another size", None
    samples = np.fromfile(pixels, "<u2").reshape(expected.shape)
    difference = int(np.abs(samples.astype(np.int64) - expected.astype(np.int64)).max())
    # What is lost is counted in steps of 8 bits.
    unit = 257 if int(words[3]) == 16 and tolerance > 1 else 1
    return (None if difference <= tolerance * unit else f"differs by {difference}"), difference


def main():
    program = sys.argv[1]
    if shutil.which("gdcmconv") is None:
        print("left out: no gdcmconv (Debian's package libgdcm-tools has it)")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        matrix = Matrix(folder)
        for case in [*cases.photometric(), *cases.compressed()]:
            matrix.add(case)
        encodings(matrix)
        made = len(matrix.files)
        own_files(matrix)
        paths = [matrix.path(name) for name, _, _ in matrix.files]
        answers = subprocess.run([program, folder, *paths], check=True, capture_output=True, text=True).stdout.splitlines()
        assert len(answers) == len(paths)
        failed, differences, compared = [], collections.Counter(), 0
        for number, ((name, expected, tolerance), answer) in enumerate(zip(matrix.files, answers)):
            wrong, difference = compare(expected, tolerance, answer, folder / f"{number}.raw")
            own = number >= made and wrong in REFUSED_KINDS
            if own:
                print(f"{name}: refused as {wrong}")
            elif wrong:
                failed.append(name)
                print(f"{name}: {wrong} (answer: {answer})")
            elif difference is None:
                differences["refused as they should be"] += 1
            else:
                differences[f"differ by {difference} at most"] += 1
                compared += number >= made
        found = len(paths) - made
        print(f"{made} files made, {found} of pydicom's own, of which {compared} compared")
        for what, count in sorted(differences.items()):
            print(f"{count:4} {what}")
        if found < LEAST_FOUND or compared < LEAST_COMPARED:
            sys.exit(f"of pydicom's own files there should be {LEAST_FOUND}, and {LEAST_COMPARED} compared")
        if failed:
            sys.exit(f"{len(failed)} wrong: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""`pumua serve` as a DICOM node, and films for it: what all programs of this folder use.

All films are synthetic drawings of children who do not exist, but for those that `real_films` gives.
"""

import collections
import contextlib
import csv
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
import pydicom
import pynetdicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

PATIENCE = 60
DRAWINGS = 24
REAL = pathlib.Path("../shared/data/originals")
# Without the settings of whoever runs this.
OWN = {**os.environ, "XDG_CONFIG_HOME": "/nonexistent"}
# What was started ends also where this program is told to end.
signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))


def until(what, done, patience=PATIENCE):
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            sys.exit(f"not within {patience} s: {what}")
        time.sleep(0.1)


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


class Serving:
    """The program, which ends with a `with`, as a power cut ends it. `model` is the one that ships unless it is named."""

    def __init__(self, program, store, model=None, options=()):
        self.program, self.store, self.model = program, store, model
        named = ["--model", model] if model else []
        command = [program, "serve", "--listen", "127.0.0.1:0", "--node", "127.0.0.1:0", "--store", store]
        with open(f"{store}.log", "a") as log:
            self.process = subprocess.Popen([*command, *named, *options], stdout=subprocess.PIPE, stderr=log, text=True, env=OWN)
        self.page = self.process.stdout.readline().strip()
        if not self.page:
            self.kill()
            sys.exit(f"pumua serve does not start: {pathlib.Path(f'{store}.log').read_text()}")
        self.port = int(re.search(r"AE title PUMUA, address 127\.0\.0\.1, port (\d+)", self.state()).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def get(self, path):
        return urllib.request.urlopen(self.page + path, timeout=PATIENCE).read().decode()

    def state(self):
        return self.get("state")

    def says(self, words):
        until(f"the page says: {words}", lambda: words in self.state())

    def films(self):
        """The files that are kept, by the numbers of their records."""
        return {int(path.stem): pydicom.dcmread(path) for path in self.store.glob("films/*.film")}

    def count(self):
        """How many records the page lists."""
        return len(self.rows())

    def rows(self):
        return list(csv.DictReader(self.get("results.csv").splitlines()))

    def agrees(self, films, least=None):
        """Whether these films are here, each once, and each that is judged has the answer that `pumua predict` gives for its file. At
        least so many have to be judged, or all. Says how many answers of each kind there are."""
        least = len(films) if least is None else least
        until(f"{least} films are judged", lambda: sum(row["code"] != "" for row in self.rows()) >= least)
        rows = self.rows()
        uids = {number: str(film.SOPInstanceUID) for number, film in self.films().items()}
        sent = {str(film.SOPInstanceUID): film for film in films}
        assert sorted(uids.values()) == sorted(sent), f"{len(uids)} films of {len(set(uids.values()))} UIDs, not {len(sent)}"
        assert sorted(int(row["record"]) for row in rows) == sorted(uids), f"{len(rows)} records of {len(uids)} films"
        assert {row["source"] for row in rows} == {"node"}
        found = {uids[int(row["record"])]: answer(row["verdict"], row["code"], row["probability"]) for row in rows if row["code"]}
        named = ["--model", self.model] if self.model else []
        with folder() as files:
            for uid in found:
                sent[uid].save_as(files / uid, enforce_file_format=True)
            # It ends with a status of its own where some are refused.
            command = [self.program, "predict", "--json", *named, *[files / uid for uid in found]]
            said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=OWN).stdout
        lines = [json.loads(line) for line in said.splitlines()]
        expected = {pathlib.Path(it["path"]).name: answer(it["verdict"], it["code"], it.get("probability")) for it in lines}
        assert found == expected, sorted(set(found.items()) ^ set(expected.items()))[:10]
        verdicts = collections.Counter(verdict for verdict, _, _ in found.values())
        return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))


def associate(server, contexts, called="PUMUA", calling="CR1", more=(), **others):
    """An association in which these kinds are offered, each with its transfer syntaxes."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = PATIENCE
    proposed = [pynetdicom.build_context(kind, list(syntaxes)) for kind, syntaxes in contexts]
    association = entity.associate("127.0.0.1", server.port, contexts=proposed, ae_title=called, ext_neg=list(more), **others)
    # A thread of pynetdicom 3.0 that looks for questions of the other end sometimes takes the answer for which the sender waits. The
    # node asks nothing.
    waited_for = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False: waited_for(block=True) if block else (None, None)
    return association


def connected(server, contexts, **others):
    """The same of a console that comes again where it is told that there is no room, as long as the program runs."""
    end = time.monotonic() + PATIENCE
    while True:
        association = associate(server, contexts, **others)
        if association.is_established or server.process.poll() is not None or time.monotonic() > end:
            return association
        time.sleep(0.05)


def agreed(server, contexts, **others):
    """One that is agreed to."""
    association = connected(server, contexts, **others)
    assert association.is_established, (association.is_rejected, association.is_aborted)
    return association


def answer(verdict, code, probability):
    """An answer as it can be compared: single precision, however many digits it is written with."""
    number = None if probability in (None, "") else float(np.float32(probability))
    return (verdict, int(code), number)


def film(values, sop_class=ComputedRadiographyImageStorage):
    """A film of a child who does not exist, of these grey values."""
    made, meta = Dataset(), FileMetaDataset()
    made.file_meta = meta
    made.SOPClassUID = meta.MediaStorageSOPClassUID = sop_class
    made.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID, made.PatientAge = "Drawing^Synthetic", "D-17", "004Y"
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.BodyPartExamined, made.ViewPosition = "CR", "CHEST", "PA"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = values.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    data = values.astype(np.uint8).tobytes()
    made.add_new("PixelData", "OB", data + bytes(len(data) % 2))
    return made


def films(program, folder, count):
    """So many films, each a synthetic drawing with a noise of its own."""
    drawn = folder / "drawn"
    subprocess.run([program, "synthetic", drawn, "--count", str(DRAWINGS)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Smaller than they are drawn: less to send and to judge.
    drawings = [np.asarray(Image.open(path).convert("L"), np.int16)[::2, ::2] for path in sorted(drawn.glob("*/*.png"))]
    assert len(drawings) == DRAWINGS
    made = []
    for number in range(count):
        values = drawings[number % DRAWINGS]
        noise = np.random.default_rng(number).integers(-4, 5, values.shape)
        made.append(film(np.clip(values + noise, 0, 255)))
    return made


def real_films(count):
    """So many films of the real radiographs, small; none where they are missing."""
    found = sorted(REAL.glob("*/*.jp*g"))[::4][:count]
    pictures = [Image.open(path).convert("L") for path in found]
    for picture in pictures:
        picture.thumbnail((640, 640))
    return [film(np.asarray(picture)) for picture in pictures]

#!/usr/bin/env python3
"""Has `pumua serve` send the answers to some films to dcmtk's `storescp`, and reads the reports with highdicom.

    report.py PROGRAM MODEL

PROGRAM is `pumua`, MODEL a model that judges drawings. Fails if a report is missing, is not one of the template TID 1500, or says
something else than the record of its film.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import cases
import highdicom
import numpy as np
import pydicom
from highdicom.sr import CodedConcept, ComprehensiveSR, MeasurementReport
from highdicom.sr.utils import find_content_items
from PIL import Image
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage, generate_uid

FILMS = 6
PATIENCE = 120
PNEUMONIA = CodedConcept("233604007", "SCT", "Pneumonia")
VERDICT = CodedConcept("verdict", "99PUMUA", "Verdict")
VERDICTS = {"normal": "100", "pneumonia": "101", "refer": "102"}


def film(drawing):
    """A drawing as a film of a child who does not exist."""
    made = cases.dataset(np.asarray(Image.open(drawing).convert("L")), 8)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID, made.PatientSex, made.PatientBirthDate = "Drawing^Aña", "D-17", "F", "20200101"
    made.StudyDate, made.StudyTime, made.TimezoneOffsetFromUTC = "20240102", "030405", "+0300"
    made.StudyID, made.AccessionNumber, made.ReferringPhysicianName = "S1", "A-17", "Nobody"
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.PatientAge, made.BodyPartExamined, made.ViewPosition = "004Y", "CHEST", "PA"
    return made


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, done):
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            sys.exit(f"not within {PATIENCE} s: {what}")
        time.sleep(0.2)


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def sent(program, model, folder):
    """The films, the records of their answers, and what has arrived in the archive."""
    archive, store, watched = (folder / name for name in ["archive", "store", "watched"])
    for made in [archive, watched]:
        made.mkdir()
    subprocess.run([program, "synthetic", folder / "drawn", "--count", str(FILMS)], check=True, stdout=subprocess.DEVNULL)
    films = [film(drawing) for drawing in sorted(folder.glob("drawn/*/*.png"))]
    assert len(films) == FILMS
    port = free_port()
    options = ["--listen", "127.0.0.1:0", "--store", store, "--model", model, "--watch", watched, "--quiet", "1"]
    options += ["--pacs", f"127.0.0.1:{port}=ARCHIVE", "--answers", "capture,report"]
    # Without the settings of whoever runs this.
    own = {**os.environ, "XDG_CONFIG_HOME": "/nonexistent"}
    receiver = subprocess.Popen(["storescp", "-aet", "ARCHIVE", "-od", archive, str(port)])
    server = None
    try:
        until("storescp listens", lambda: listens(port))
        server = subprocess.Popen([program, "serve", *options], stdout=subprocess.PIPE, text=True, env=own)
        page = server.stdout.readline().strip()
        for number, made in enumerate(films):
            made.save_as(watched / f"{number}.dcm", enforce_file_format=True)
        said = f"sent since the start: {2 * FILMS}"
        until(said, lambda: said in urllib.request.urlopen(f"{page}state").read().decode())
    finally:
        for process in filter(None, [server, receiver]):
            process.kill()
            process.wait()
    records = [json.loads(path.read_text()) for path in sorted(store.glob("results/*.json"))]
    return films, records, [pydicom.dcmread(path) for path in sorted(archive.iterdir())]


def check(report, made, record):
    """Whether a report says what is known of its film."""
    assert isinstance(report, ComprehensiveSR) and isinstance(report.content, MeasurementReport)
    for name in ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate", "StudyTime"]:
        assert report[name].value == made[name].value, name
    assert (report.Modality, report.CompletionFlag, report.VerificationFlag) == ("SR", "COMPLETE", "UNVERIFIED")
    here = time.strftime("%Y%m%d%H%M%S", time.gmtime(record["answer"]["at"] + 3 * 3600))
    assert report.ContentDate + report.ContentTime == here
    of_film = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID, made.SOPClassUID)
    assert report.get_evidence() == [of_film], report.get_evidence()

    judged, by = record["answer"]["outcome"]["judged"], record["answer"]["by"]
    content = report.content
    (observer,) = content.get_observer_contexts(observer_type=codes.DCM.Device)
    observer = observer.observer_identifying_attributes
    assert (observer.name, observer.manufacturer_name) == ("Pumua", "Pumua")
    assert by["model"] in observer.model_name and "SHA-256" in observer.model_name
    comments = find_content_items(content[0], name=codes.DCM.Comment)
    assert comments[0].value == "Research aid, not a medical device"
    (procedure,) = find_content_items(content[0], name=codes.DCM.ProcedureReported)
    assert procedure.value == CodedConcept("399208008", "SCT", "Plain chest X-ray")

    (group,) = content.get_image_measurement_groups(referenced_sop_instance_uid=made.SOPInstanceUID)
    assert group.tracking_identifier and group.tracking_uid
    assert group.finding_type == (PNEUMONIA if judged["verdict"] == "pneumonia" else None)
    (source,) = group.source_images
    assert source.referenced_sop_class_uid == made.SOPClassUID
    (probability,) = group.get_measurements(name=codes.DCM.Probability)
    assert np.float32(probability.value) == np.float32(judged["probability"])
    assert probability.unit == codes.UCUM.NoUnits
    (verdict,) = group.get_qualitative_evaluations(name=VERDICT)
    assert verdict.value.value == VERDICTS[judged["verdict"]], verdict
    parameters = {item.value for item in find_content_items(group[0], name=codes.DCM.AlgorithmParameters)}
    point = {name: np.float32(value) for name, value in judged["point"].items()}
    assert {name: np.float32(value) for name, value in (text.split(" = ") for text in parameters)} == point
    return judged["verdict"]


def main():
    program, model = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        films, records, arrived = sent(program, model, pathlib.Path(folder))
        reports = [it for it in arrived if it.SOPClassUID == ComprehensiveSRStorage]
        assert (len(arrived), len(reports), len(records)) == (2 * FILMS, FILMS, FILMS), arrived
        # A record is known by its number, which the report has; a film by its study.
        studies = {made.StudyInstanceUID: made for made in films}
        verdicts = []
        for dataset in reports:
            report = highdicom.sr.ComprehensiveSR.from_dataset(dataset)
            (tracked,) = find_content_items(report.content[0], name=codes.DCM.TrackingIdentifier, recursive=True)
            record = next(it for it in records if tracked.value == f"Pumua record {it['number']}")
            verdicts.append(check(report, studies.pop(dataset.StudyInstanceUID), record))
        print(f"{FILMS} reports read with highdicom {highdicom.__version__}: {', '.join(sorted(verdicts))}")


if __name__ == "__main__":
    main()

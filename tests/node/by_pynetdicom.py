#!/usr/bin/env python3
"""Sends films to `pumua serve` with pynetdicom, as a console that does all that the protocol allows, and some that it does not.

    by_pynetdicom.py PROGRAM MODEL

PROGRAM is `pumua`, MODEL a model that judges drawings. Fails if a presentation context, a status or a rejection is not the one that
docs/clinic.md names, or if a film has another answer than its file has by `pumua predict`.
"""

import copy
import io
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pynetdicom
import serving
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.dimse_primitives import C_FIND, C_STORE
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from serving import agreed, associate

VERIFICATION = "1.2.840.10008.1.1"
CR, DX, DX_PROCESSING, CAPTURE = TAKEN = [
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
]
CT, SR, MAMMOGRAPHY, FIND = [
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.1.2",
    "1.2.840.10008.5.1.4.1.2.2.1",
]
# What docs/clinic.md lists, the easiest to read first.
SYNTAXES = {
    "1.2.840.10008.1.2.1": "uncompressed",
    "1.2.840.10008.1.2": "implicit",
    "1.2.840.10008.1.2.2": "big endian",
    "1.2.840.10008.1.2.1.98": "encapsulated",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.5": "run lengths",
    "1.2.840.10008.1.2.4.70": "lossless JPEG",
    "1.2.840.10008.1.2.4.57": "lossless JPEG of any predictor",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 without loss",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.50": "JPEG of 8 bits",
}
PLAIN, IMPLICIT, BIG_ENDIAN, ENCAPSULATED, DEFLATED, RUN_LENGTHS, *JPEGS = SYNTAXES
ACCEPTED, NO_KIND, NO_SYNTAX = 0, 3, 4


def reasons(server, contexts):
    """What is answered to each that is offered: its result and, if it is accepted, the transfer syntax."""
    found = {}

    def are_answered():
        association = associate(server, contexts)
        for it in [*association.accepted_contexts, *association.rejected_contexts]:
            found[it.context_id] = (it.result, it.transfer_syntax[0] if it.result == ACCEPTED else None)
        # pynetdicom ends an association itself in which nothing is accepted.
        if association.is_established:
            association.release()
        return found

    serving.until("contexts are answered", are_answered)
    return [found[number] for number in sorted(found)]


def contexts_are_those_of_the_documents(server):
    all_syntaxes = list(dict.fromkeys([*ALL_TRANSFER_SYNTAXES, *SYNTAXES]))
    assert len(all_syntaxes) > 3 * len(SYNTAXES)
    for kind in [VERIFICATION, *TAKEN]:
        expected = [(ACCEPTED, it) if it in SYNTAXES else (NO_SYNTAX, None) for it in all_syntaxes]
        assert reasons(server, [(kind, [it]) for it in all_syntaxes]) == expected, kind
        # Of all of them at once, in whatever order, the easiest to read.
        for offered in [all_syntaxes, all_syntaxes[::-1]]:
            assert reasons(server, [(kind, offered)]) == [(ACCEPTED, PLAIN)], kind
    others = [CT, SR, MAMMOGRAPHY, FIND, "1.2.3.4.5"]
    mixed = [*[(kind, [PLAIN]) for kind in others], (CR, [PLAIN])]
    assert reasons(server, mixed) == [*[(NO_KIND, None)] * len(others), (ACCEPTED, PLAIN)]
    assert reasons(server, [(CT, [PLAIN])]) == [(NO_KIND, None)]
    server.says("nothing that CR1 offers is taken")
    # As many as there may be.
    assert reasons(server, [(CR, [PLAIN])] * 128) == [(ACCEPTED, PLAIN)] * 128
    return f"{len(all_syntaxes)} transfer syntaxes of {len(TAKEN) + 1} kinds, {len(SYNTAXES)} of them taken"


def rejections_are_those_of_the_documents(server):
    def rejected(server, expected, **others):
        # The answer itself: pynetdicom sometimes says that it was an abort, though it has read a rejection.
        answers = []
        handlers = [(pynetdicom.evt.EVT_PDU_RECV, lambda event: answers.append(event.pdu))]

        def is_rejected():
            answers.clear()
            association = associate(server, [(CR, [PLAIN])], evt_handlers=handlers, **others)
            assert not association.is_established and [type(it) for it in answers] == [A_ASSOCIATE_RJ], answers
            return (answers[0].result, answers[0].source, answers[0].reason_diagnostic) == expected

        # There may be no room for a moment.
        serving.until(f"{others} is rejected with {expected}", is_rejected)

    for called in ["PACS1", "pumua", "PUMUA2"]:
        rejected(server, (1, 1, 7), called=called)
    server.says("the console calls us PUMUA2, we are PUMUA")
    # Of one address four are served at once, of all eight.
    held = [agreed(server, [(CR, [PLAIN])], bind_address=(f"127.0.0.{1 + n // 4}", 0)) for n in range(8)]
    for address in ["127.0.0.1", "127.0.0.3"]:
        rejected(server, (2, 3, 2), bind_address=(address, 0))
    held.pop().release()
    held.append(agreed(server, [(CR, [PLAIN])], bind_address=("127.0.0.3", 0)))
    for association in held:
        association.release()
    # One who may not send.
    with serving.folder() as other:
        with serving.Serving(server.program, other / "store", server.model, ["--peer", "127.0.0.2", "--peer", "127.0.0.3=CR3"]) as strict:
            for address, calling, may in [("1", "CR1", False), ("2", "CR1", True), ("3", "CR1", False), ("3", "CR3", True)]:
                caller = {"calling": calling, "bind_address": (f"127.0.0.{address}", 0)}
                if may:
                    agreed(strict, [(CR, [PLAIN])], **caller).release()
                else:
                    rejected(strict, (1, 1, 3), **caller)


def whatever_is_negotiated_besides_is_agreed_to(server):
    role, window = SCP_SCU_RoleSelectionNegotiation(), AsynchronousOperationsWindowNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CR, True, True
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 5
    extended, common = SOPClassExtendedNegotiation(), SOPClassCommonExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CR, b"\x02\0\x03\0\0\0"
    common.sop_class_uid, common.service_class_uid = CR, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = [DX]
    everything = [role, window, extended, common]
    for kind in range(1, 6):
        identity = UserIdentityNegotiation()
        identity.user_identity_type, identity.primary_field = kind, b"somebody"
        if kind == 2:
            identity.secondary_field = b"something"
        association = agreed(server, [(VERIFICATION, [PLAIN]), (CR, [PLAIN])], more=[*everything, identity])
        assert association.send_c_echo().Status == 0, kind
        association.release()
    for most in [0, 1, 7, 1024, 1 << 17, (1 << 32) - 1]:
        association = agreed(server, [(VERIFICATION, [PLAIN])], max_pdu=most)
        assert association.send_c_echo().Status == 0, most
        association.release()


def answered(association, message, context=None):
    """Status and comment of the answer to a message that pynetdicom itself would not send."""
    context = context or association.accepted_contexts[0].context_id
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(message, context)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert answer is not None, "no answer"
    assert answer.MessageIDBeingRespondedTo == message.MessageID
    return answer.Status, answer.ErrorComment or ""


def message(film, sop_class=CR, instance=None, data=None):
    made = C_STORE()
    made.MessageID, made.Priority = 7, 2
    made.AffectedSOPClassUID = sop_class
    made.AffectedSOPInstanceUID = film.SOPInstanceUID if instance is None else instance
    made.DataSet = io.BytesIO(pynetdicom.dsutils.encode(film, False, True) if data is None else data)
    return made


def statuses_are_those_of_the_documents(server, film, parts):
    association = agreed(server, [(CR, [PLAIN]), (VERIFICATION, [PLAIN]), (DX, [PLAIN])])
    by_class = {it.abstract_syntax: it.context_id for it in association.accepted_contexts}
    other = copy.deepcopy(film)
    other.SOPClassUID = DX
    large = copy.deepcopy(film)
    large.PixelData = bytes(33 << 20)
    wanted, query = pydicom.Dataset(), C_FIND()
    wanted.QueryRetrieveLevel = "PATIENT"
    query.MessageID, query.AffectedSOPClassUID, query.Priority = 9, CR, 2
    query.Identifier = io.BytesIO(pynetdicom.dsutils.encode(wanted, False, True))
    cases = [
        ("another kind within", message(other), None, 0xA900),
        ("another instance", message(film, instance="1.2.3.4"), None, 0xA900),
        ("a kind that the context has not", message(other, DX), None, 0x0122),
        ("a context that is for no images", message(film), by_class[VERIFICATION], 0x0122),
        ("no instance", message(film, instance=""), None, 0x0117),
        ("no data set", message(film, data=b"\xff" * 5000), None, 0xC000),
        ("a data set of a few bytes", message(film, data=b"\1"), None, 0xC000),
        ("more than 32 MiB", message(large), None, 0xC001),
        ("a query", query, None, 0x0211),
    ]
    for name, sent, context, expected in cases:
        status, comment = answered(association, sent, context)
        assert status == expected, f"{name}: {status:04x}, {comment}"
        assert ": " in comment or expected == 0x0211, f"{name}: {comment}"
    # As of a disk that fails.
    kept = parts.with_name("kept")
    parts.rename(kept)
    parts.touch()
    status, comment = answered(association, message(film))
    assert status == 0xA700 and "Status" in comment, (status, comment)
    parts.unlink()
    kept.rename(parts)
    assert server.count() == 0
    # The association goes on all the while.
    assert association.send_c_echo().Status == 0
    assert [association.send_c_store(film).Status for _ in range(2)] == [0, 0]
    association.release()
    server.says("received 2 from CR1, 1 of them here already")
    assert server.count() == 1
    return f"{len(cases) + 2} statuses"


def coded(film, picture_format, **options):
    """A film whose pixels are written by Pillow."""
    stream = io.BytesIO()
    pixels = np.frombuffer(film.PixelData, np.uint8)[: film.Rows * film.Columns].reshape(film.Rows, film.Columns)
    Image.fromarray(pixels).save(stream, picture_format, **options)
    return [stream.getvalue()]


def written_in(film, syntax, folder):
    """The same film in another transfer syntax, in a file; `None` where there is nothing that writes it."""
    made = copy.deepcopy(film)
    path, plain = folder / f"{film.SOPInstanceUID}.dcm", folder / "plain.dcm"
    if syntax in ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57"]:
        if not shutil.which("dcmcjpeg"):
            print("left out: no dcmcjpeg for lossless JPEG (Debian's package dcmtk has it)")
            return None
        film.save_as(plain, enforce_file_format=True)
        subprocess.run(["dcmcjpeg", "+e1" if syntax.endswith("70") else "+el", plain, path], check=True)
        return path
    frames = {
        ENCAPSULATED: lambda: [made.PixelData],
        "1.2.840.10008.1.2.4.90": lambda: coded(made, "JPEG2000", irreversible=False, no_jp2=True),
        "1.2.840.10008.1.2.4.91": lambda: coded(made, "JPEG2000", irreversible=True, no_jp2=True, quality_layers=[8]),
        "1.2.840.10008.1.2.4.50": lambda: coded(made, "JPEG", quality=90),
    }.get(syntax)
    if syntax == RUN_LENGTHS:
        made.compress(UID(syntax), generate_instance_uid=False)
    elif frames:
        made.PixelData = encapsulate(frames())
        made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = syntax
    made.save_as(path, enforce_file_format=True)
    return path


def every_syntax_is_judged_as_its_file_is(program, model, films, folder):
    written = {}
    for film, (syntax, name) in zip(films, SYNTAXES.items()):
        path = written_in(film, syntax, folder)
        if path:
            written[name] = (path, syntax)
    with serving.Serving(program, folder / "syntaxes", model) as server:
        for _ in range(2):
            for name, (path, syntax) in written.items():
                dataset = pydicom.dcmread(path)
                assert dataset.file_meta.TransferSyntaxUID == syntax, name
                # Other contexts besides the one that fits.
                association = agreed(server, [(CT, [PLAIN]), (CR, [syntax]), (CAPTURE, [PLAIN])])
                assert association.send_c_store(dataset).Status == 0, name
                association.release()
            assert server.count() == len(written), "sent again, each is kept once"
        kept = {str(it.SOPInstanceUID): it.file_meta.TransferSyntaxUID for it in server.films().values()}
        assert kept == {path.stem: syntax for path, syntax in written.values()}
        verdicts = server.agrees([pydicom.dcmread(path) for path, _ in written.values()])
    return f"{len(written)} transfer syntaxes judged as `pumua predict` judges their files, {verdicts}"


def real_ones_are_judged_as_their_files_are(program, drawn, folder):
    real = serving.real_films(8)
    if not real:
        print(f"left out: no real radiographs in {serving.REAL}")
    # By the model that ships, which refuses drawings.
    both = [*real, *drawn[:4]]
    with serving.Serving(program, folder / "real") as server:
        association = agreed(server, [(CR, [PLAIN])])
        assert [association.send_c_store(it).Status for it in both] == [0] * len(both)
        association.release()
        verdicts = server.agrees(both)
    return f"{len(real)} real radiographs and {len(drawn[:4])} drawings judged by the model that ships, {verdicts}"


def main():
    program, model = sys.argv[1:]
    with serving.folder() as folder:
        films = serving.films(program, folder, len(SYNTAXES))
        with serving.Serving(program, folder / "store", model) as server:
            print(contexts_are_those_of_the_documents(server))
            rejections_are_those_of_the_documents(server)
            whatever_is_negotiated_besides_is_agreed_to(server)
            print(statuses_are_those_of_the_documents(server, films[0], folder / "store" / "parts"))
        print(every_syntax_is_judged_as_its_file_is(program, model, films, folder))
        print(real_ones_are_judged_as_their_files_are(program, films, folder))


if __name__ == "__main__":
    main()

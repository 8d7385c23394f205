#!/usr/bin/env python3
"""Sends films to `pumua serve` from an Orthanc, as an archive does that hands on what it gets.

    by_orthanc.py PROGRAM MODEL

PROGRAM is `pumua`, MODEL a model that judges drawings. Fails if Orthanc does not succeed, if a film sent again is kept again, or if one
has another answer than its file has by `pumua predict`. Ends with 75, and says why, where Orthanc does not start.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import serving

FILMS = 6


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Orthanc:
    """An Orthanc that knows the node, and ends with a `with`."""

    def __init__(self, folder, port):
        http, storage = free_port(), folder / "orthanc"
        storage.mkdir()
        settings = {
            "Name": "test", "StorageDirectory": str(storage), "IndexDirectory": str(storage), "Plugins": [],
            "DicomAet": "ORTHANC", "DicomPort": free_port(), "HttpPort": http,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
            "DicomModalities": {"pumua": ["PUMUA", "127.0.0.1", port], "wrong": ["PACS1", "127.0.0.1", port]},
        }
        file = folder / "orthanc.json"
        file.write_text(json.dumps(settings))
        self.address, self.log = f"http://127.0.0.1:{http}", folder / "orthanc.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(["Orthanc", file], stdout=log, stderr=log)

    def __enter__(self):
        end = time.monotonic() + serving.PATIENCE
        while True:
            try:
                self.ask("/system")
                return self
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None or time.monotonic() > end:
                    self.__exit__()
                    print(f"left out: Orthanc does not start here: {self.log.read_text()[-500:]}")
                    sys.exit(75)
                time.sleep(0.1)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, path, data=None):
        """What it answers to a question, or to what is posted."""
        with urllib.request.urlopen(f"{self.address}{path}", data, timeout=serving.PATIENCE) as answer:
            return json.loads(answer.read())


def main():
    program, model = sys.argv[1:]
    with serving.folder() as folder:
        films = serving.films(program, folder, FILMS)
        with serving.Serving(program, folder / "store", model) as server, Orthanc(folder, server.port) as orthanc:
            version = orthanc.ask("/system")["Version"]
            resources = []
            for film in films:
                path = folder / "film.dcm"
                film.save_as(path, enforce_file_format=True)
                resources.append(orthanc.ask("/instances", path.read_bytes())["ID"])
            orthanc.ask("/modalities/pumua/echo", b"{}")
            server.says("C-ECHO of ORTHANC answered")
            for known in [0, FILMS]:
                job = {"Resources": resources, "Synchronous": True}
                done = orthanc.ask("/modalities/pumua/store", json.dumps(job).encode())
                assert (done["InstancesCount"], done["FailedInstancesCount"]) == (FILMS, 0), done
                server.says(f"{known} of them here already")
                assert server.count() == FILMS, server.count()
            # By a job that nobody waits for.
            job = orthanc.ask("/modalities/pumua/store", json.dumps({"Resources": resources, "Synchronous": False}).encode())
            serving.until("the job succeeds", lambda: orthanc.ask(f"/jobs/{job['ID']}")["State"] == "Success")
            try:
                orthanc.ask("/modalities/wrong/echo", b"{}")
                raise AssertionError("who is called by another title has answered")
            except urllib.error.HTTPError:
                server.says("the console calls us PACS1")
            verdicts = server.agrees(films)
    print(f"C-ECHO and {FILMS} films by Orthanc {version}, three times: {verdicts}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Sends very many films to `pumua serve` with pynetdicom, over eight associations at once; then kills it in the middle, several times.

    many.py PROGRAM MODEL

PROGRAM is `pumua`, MODEL a model that judges drawings. Fails if a film is lost or doubled, has another answer than its file by `pumua
predict`, or was answered with success and is not there after a kill.
"""

import random
import sys
import threading
import time

import serving
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

FILMS = 1000
ASSOCIATIONS = 8
# What two busy cores are given for it.
SECONDS = 60
KILLS = 5
FILMS_OF_A_KILL = 60
# Of so many films the answers are waited for, of others they are compared where they are there.
JUDGED = 100
CONTEXTS = [(ComputedRadiographyImageStorage, [ExplicitVRLittleEndian])]


def send(server, number, films, acknowledged):
    """Sends films one after the other until the end or until nobody answers; those that were answered with success are added."""
    # Of one address four are served at once.
    address = (f"127.0.0.{1 + number % 2}", 0)
    association = serving.connected(server, CONTEXTS, calling=f"CR{number}", bind_address=address)
    for film in films if association.is_established else []:
        try:
            answer = association.send_c_store(film)
        except (RuntimeError, OSError):
            break
        if answer.get("Status") != 0:
            break
        acknowledged.append(str(film.SOPInstanceUID))
    if association.is_established:
        association.release()


def send_all(server, films):
    """Over all associations at once: threads that send, and the UIDs of what is answered with success."""
    acknowledged = []
    shares = [films[number::ASSOCIATIONS] for number in range(ASSOCIATIONS)]
    threads = [threading.Thread(target=send, args=(server, number, share, acknowledged)) for number, share in enumerate(shares)]
    for thread in threads:
        thread.start()
    return threads, acknowledged


def join(threads):
    for thread in threads:
        thread.join()


def none_is_lost_or_doubled(program, model, films, folder):
    begin = time.monotonic()
    with serving.Serving(program, folder / "many", model) as server:
        threads, acknowledged = send_all(server, films)
        join(threads)
        sent = time.monotonic() - begin
        assert len(acknowledged) == len(films), f"{len(acknowledged)} of {len(films)} were answered with success"
        assert server.count() == len(films), f"{server.count()} of {len(films)} are kept"
        verdicts = server.agrees(films, JUDGED)
        # A second time nothing is kept, and nothing judged.
        again = films[:: len(films) // 40]
        threads, acknowledged = send_all(server, again)
        join(threads)
        assert len(acknowledged) == len(again) and server.count() == len(films), server.count()
    assert sent < SECONDS, f"{sent:.1f} s for {len(films)} films, {SECONDS} are allowed"
    return f"{len(films)} films over {ASSOCIATIONS} associations in {sent:.1f} s: {verdicts}"


def what_was_acknowledged_is_there_after_a_kill(program, model, films, folder, chance):
    told = []
    for kill in range(KILLS):
        store = folder / f"kill-{kill}"
        # After so many, and then somewhere within the next one.
        after, later = chance.randrange(len(films) // 2), chance.uniform(0, 0.02)
        with serving.Serving(program, store, model) as server:
            threads, acknowledged = send_all(server, films)
            serving.until(f"{after} films are answered", lambda: len(acknowledged) >= after)
            time.sleep(later)
            server.kill()
            join(threads)
        with serving.Serving(program, store, model) as server:
            kept = [str(it.SOPInstanceUID) for it in server.films().values()]
            lost = set(acknowledged) - set(kept)
            assert not lost, f"killed after {len(acknowledged)}: {len(lost)} that were answered with success are gone"
            assert len(kept) == len(set(kept)) == server.count(), f"{len(kept)} files of {len(set(kept))} films, {server.count()} records"
            # What was being sent may be kept as well.
            assert len(kept) <= len(acknowledged) + ASSOCIATIONS, (len(kept), len(acknowledged))
            acknowledged_before = len(acknowledged)
            threads, acknowledged = send_all(server, films)
            join(threads)
            assert len(acknowledged) == len(films)
            server.agrees(films, len(films) if kill == KILLS - 1 else 0)
        told.append(f"{acknowledged_before}/{len(kept)}")
    return f"killed {KILLS} times, answered/kept: {', '.join(told)}; sent again, each of {len(films)} is there once"


def main():
    program, model = sys.argv[1:]
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"the moments of the kills are by the seed {seed}")
    with serving.folder() as folder:
        films = serving.films(program, folder, FILMS)
        print(none_is_lost_or_doubled(program, model, films, folder), flush=True)
        print(what_was_acknowledged_is_there_after_a_kill(program, model, films[:FILMS_OF_A_KILL], folder, random.Random(seed)))


if __name__ == "__main__":
    main()

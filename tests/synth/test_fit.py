"""The fit: the set's codes to buckets, moves counted by hand, and the file that the generator reads."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from forbear.synth.fit import bucket, deeper, main, transitions
from forbear.synth.parameters import parameters

#: Three accounts, six months each, oldest first: one current, one that falls behind, one that sinks deep.
CODES = np.array([[-2, -1, 0, 0, 0, 0], [0, 2, 2, 3, 2, 0], [3, 4, 5, 5, 6, 1]])


def test_codes_one_and_two_are_one_bucket() -> None:
    assert bucket(np.array([-2, -1, 0, 1, 2, 3, 4, 5, 8])).tolist() == [0, 0, 0, 1, 1, 2, 3, 4, 4]


def test_moves_are_counted_month_by_month() -> None:
    # Given the three accounts, when the moves are counted, then they are those counted by hand.
    counts = transitions(CODES).sum(axis=0)
    by_hand = [[5, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 2]]
    assert counts.tolist() == by_hand
    assert deeper(CODES) == (1, 1)


def test_the_fitted_file_is_what_the_fit_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a file of the set's columns, when it is fitted, then what is printed is TOML with those counts, and its
    # figures of loans are those of the file that is shipped.
    path = tmp_path / "cards.csv"
    rows = [",".join(map(str, [k, *codes])) for k, codes in enumerate(CODES.tolist())]
    path.write_text("\n".join(["row,PAY_6,PAY_5,PAY_4,PAY_3,PAY_2,PAY_0", *rows]) + "\n")
    main(path)
    printed = tomllib.loads(capsys.readouterr().out)
    assert printed["cards"]["counts"] == transitions(CODES).sum(axis=0).tolist()
    assert printed["cards"]["stay_m4"] == {"same": 1, "deeper": 1} and printed["cards"]["accounts"] == 3
    shipped = Path(__file__).parents[2] / "src/forbear/synth/data/fitted.toml"
    assert printed["loans"] == tomllib.loads(shipped.read_text())["loans"]


def test_the_chain_is_the_shares_of_the_fitted_counts() -> None:
    # Given the shipped counts, then the chain's rows add up to one, and M1 falls to M2 in 725 of 11,563 moves.
    moves = parameters("cn").chain.moves
    assert moves.sum(axis=1) == pytest.approx(1)
    assert moves[1, 2] == pytest.approx(725 / 11_563)
    assert moves[4, 5] / (moves[4, 4] + moves[4, 5]) == pytest.approx(79 / 187)

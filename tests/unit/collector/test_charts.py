"""Drawings of charts."""

from collector.pages.charts import SPARK_HEIGHT, draw_sparkline


def test_a_sparkline_has_a_bar_for_each_day_with_a_detection() -> None:
    spark = draw_sparkline([0, 4, 0, 2])
    assert (spark.total, spark.highest) == (6, 4)
    assert spark.path == f"M6 {SPARK_HEIGHT}v-22.0h5v22.0zM18 {SPARK_HEIGHT}v-11.0h5v11.0z"


def test_one_detection_beside_a_thousand_is_seen() -> None:
    assert draw_sparkline([1_000, 1]).path.endswith("v-2.0h5v2.0z")


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw_sparkline([0] * 14) == ("", 0, 0)
    assert draw_sparkline([]) == ("", 0, 0)

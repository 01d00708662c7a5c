"""Field types that several requests share. Each validates a value and states its limits in the OpenAPI document."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from collector.contract import parse_time

_NO_CONTROL: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
NOT_BLANK: Final = rf"^[^{_NO_CONTROL}]*[^\s{_NO_CONTROL}][^{_NO_CONTROL}]*$"
"""Text without control characters (tab and line breaks are allowed) and not only of white space."""
ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""Text without any control character and not only of white space."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(value: object) -> datetime | None:
    """The instant of an RFC 3339 text or of epoch milliseconds; None for anything else, and before the year 1."""
    ms = parse_time(value)
    try:
        return None if ms is None else _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None


def _format_instant(text: str) -> str:
    at = parse_moment(text)
    if at is None:
        raise ValueError("must be RFC 3339 with a zone")
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _convert_whole_number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value  # 3.0 is an integer in JSON


WHOLE_NUMBER: Final = BeforeValidator(_convert_whole_number)
"""For an `int` field: accepts 3.0 as 3."""
Time = Annotated[
    str,
    AfterValidator(_format_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2024-01-15T10:00:00.000Z"]}),
]
"""RFC 3339 with a zone; becomes UTC with milliseconds."""
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
ShortText = Annotated[str, Field(max_length=512, pattern=rf"^[^{_NO_CONTROL}]*$")]
LongText = Annotated[str, Field(max_length=4_000, pattern=rf"^[^{_NO_CONTROL}]*$")]
Count = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE_NUMBER]


class SentModel(BaseModel):
    """A JSON object that another system sends; unknown keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

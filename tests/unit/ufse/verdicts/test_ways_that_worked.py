"""Corrected rejections, single failures and other ways that worked are silent (docs/decisions/0067)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, error, event, go, submit
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, field, fields, pair_with_collectors

COUP = {"target_type": "button", "target_id": "apply", "target_label": "Apply"}
GOOG = {"target_type": "button", "target_id": "google", "target_label": "Google"}
PPAL = {"target_type": "button", "target_id": "paypal", "target_label": "PayPal"}
BUY = {"target_type": "button", "target_id": "invoice", "target_label": "Pay by invoice"}
LB = {"target_type": "button", "target_id": "signin", "target_label": "Sign in"}


def lg(t: float, status: int, route: str = "/login") -> Row:
    return answer(t, status, 0.4, "/api/login", "POST", route=route)


def lform(t: float, route: str = "/login") -> list[Row]:
    return [field(t, "user", route), field(t + 3, "pass", route)]


def inv(t: float, route: str = "/checkout", message: str = "Required") -> Row:
    return error(t, message, "validation", route=route)


CALM: dict[str, list[Row]] = {
    "422 corrected accepted": [
        go(0, "/signup"),
        *fields(4, "/signup"),
        click(15, LB, "/signup"),
        lg(15.5, 422, "/signup"),
        field(22, "f2", "/signup"),
        click(25, LB, "/signup"),
        lg(25.5, 201, "/signup"),
        go(26, "/welcome", "push"),
        go(60, "/home"),
    ],
    "422 corrected accepted no nav": [
        go(0, "/profile"),
        *fields(4, "/profile"),
        click(15, LB, "/profile"),
        lg(15.5, 422, "/profile"),
        field(22, "f2", "/profile"),
        click(25, LB, "/profile"),
        lg(25.5, 200, "/profile"),
        go(40, "/home"),
    ],
    "required fields marked then accepted": [
        go(0, "/signup"),
        *fields(2, "/signup"),
        submit(12, "/signup", valid=0),
        inv(12.1, "/signup"),
        field(16, "f2", "/signup"),
        submit(20, "/signup", valid=1),
        lg(20.6, 201, "/signup"),
        go(21, "/welcome", "push"),
    ],
    "required, corrected, submit unanswered by failures": [
        go(0, "/signup"),
        *fields(3, "/signup"),
        submit(12, "/signup"),
        inv(12.1, "/signup"),
        field(16, "f2", "/signup"),
        submit(20, "/signup"),
        lg(20.6, 201, "/signup"),
        go(30, "/home"),
    ],
    "login 401 once then ok": [
        go(0, "/login"),
        *lform(2),
        click(8, LB, "/login"),
        lg(8.5, 401),
        field(14, "pass", "/login"),
        click(17, LB, "/login"),
        lg(17.5, 200),
        go(18, "/dashboard", "push"),
        go(60, "/reports"),
    ],
    "login 401 twice then ok": [
        go(0, "/login"),
        *lform(2),
        click(8, LB, "/login"),
        lg(8.5, 401),
        field(12, "pass", "/login"),
        click(15, LB, "/login"),
        lg(15.5, 401),
        field(20, "pass", "/login"),
        click(23, LB, "/login"),
        lg(23.5, 200),
        go(24, "/dashboard", "push"),
    ],
    "coupon 404 then other ok": [
        go(0, "/cart"),
        field(2, "coupon", "/cart"),
        click(4, COUP, "/cart"),
        answer(4.4, 404, 0.3, "/api/coupon", route="/cart"),
        field(9, "coupon", "/cart"),
        click(12, COUP, "/cart"),
        answer(12.4, 200, 0.3, "/api/coupon", route="/cart"),
        go(30, "/checkout"),
        go(60, "/thanks", "push"),
    ],
    "coupon refused once, goes on": [
        go(0, "/cart"),
        field(2, "coupon", "/cart"),
        click(4, COUP, "/cart"),
        answer(4.4, 422, 0.3, "/api/coupon", route="/cart"),
        go(30, "/checkout"),
        click(40),
        answer(40.5, 201, 0.4),
        go(41, "/orders/7", "push"),
    ],
    "coupon refused twice, goes on and pays": [
        go(0, "/cart"),
        field(2, "coupon", "/cart"),
        click(4, COUP, "/cart"),
        answer(4.4, 422, 0.3, "/api/coupon", route="/cart"),
        field(8, "coupon", "/cart"),
        click(11, COUP, "/cart"),
        answer(11.4, 422, 0.3, "/api/coupon", route="/cart"),
        go(30, "/checkout"),
        click(40),
        answer(40.5, 201, 0.4),
        go(41, "/orders/7", "push"),
    ],
    "one failure, two fields, page on": [
        go(0, "/newsletter"),
        field(2, "mail", "/newsletter"),
        field(4, "name", "/newsletter"),
        click(6, LB, "/newsletter"),
        lg(6.5, 500, "/newsletter"),
        event(30, "scroll", "/newsletter", direction="down", depth=40),
    ],
    "card 402 x2, paypal via external, thanks": [
        go(0, "/checkout"),
        *fields(3),
        click(15),
        answer(15.6, 402, 0.5),
        click(25),
        answer(25.6, 402, 0.5),
        click(34, PPAL),
        go(34.5, "/checkout", "link", external=1),
        go(80, "/thanks", "link"),
    ],
    "card 402 x2, paypal external, order page": [
        go(0, "/checkout"),
        *fields(3),
        click(15),
        answer(15.6, 402, 0.5),
        click(25),
        answer(25.6, 402, 0.5),
        click(34, PPAL),
        go(34.5, "/checkout", "link", external=1),
        go(80, "/orders/81", "link"),
        answer(80.6, 200, 0.4, "/api/orders/81", "GET", route="/orders/81"),
    ],
    "card 402 x2, invoice POST ok": [
        go(0, "/checkout"),
        *fields(3),
        click(15),
        answer(15.6, 402, 0.5),
        click(25),
        answer(25.6, 402, 0.5),
        click(34, BUY),
        answer(34.6, 201, 0.5, "/api/invoice"),
        go(35, "/orders/81", "push"),
    ],
    "card 402 x2, invoice on own page": [
        go(0, "/checkout/card"),
        *fields(3, "/checkout/card"),
        click(15, None, "/checkout/card"),
        answer(15.6, 402, 0.5, "/api/card", route="/checkout/card"),
        click(25, None, "/checkout/card"),
        answer(25.6, 402, 0.5, "/api/card", route="/checkout/card"),
        click(34, {"target_type": "link", "target_id": "other"}, "/checkout/card"),
        go(34.2, "/checkout/invoice", "push"),
        click(40, BUY, "/checkout/invoice"),
        answer(40.6, 201, 0.5, "/api/invoice", route="/checkout/invoice"),
        go(41, "/orders/81", "push"),
    ],
    "login 401 x3, google external, dashboard": [
        go(0, "/login"),
        *lform(2),
        click(8, LB, "/login"),
        lg(8.5, 401),
        click(15, LB, "/login"),
        lg(15.5, 401),
        click(23, LB, "/login"),
        lg(23.5, 401),
        click(30, GOOG, "/login"),
        go(30.4, "/login", "link", external=1),
        go(45, "/dashboard", "link"),
        answer(45.5, 200, 0.3, "/api/me", "GET", route="/dashboard"),
        click(60, COUP, "/dashboard"),
    ],
    "login 401 x3, google popup, dashboard push": [
        go(0, "/login"),
        *lform(2),
        click(8, LB, "/login"),
        lg(8.5, 401),
        click(15, LB, "/login"),
        lg(15.5, 401),
        click(23, LB, "/login"),
        lg(23.5, 401),
        click(30, GOOG, "/login"),
        answer(44, 200, 0.3, "/api/oauth", route="/login"),
        go(44.2, "/dashboard", "push"),
        click(60, COUP, "/dashboard"),
    ],
    "login 401 x2, magic link page": [
        go(0, "/login"),
        *lform(2),
        click(8, LB, "/login"),
        lg(8.5, 401),
        click(15, LB, "/login"),
        lg(15.5, 401),
        go(20, "/login/link", "link"),
        field(24, "mail", "/login/link"),
        click(27, LB, "/login/link"),
        lg(
            27.5,
            200,
            "/login/link",
        ),
        go(28, "/login/sent", "push"),
        go(90, "/dashboard", "link"),
    ],
}
STRUGGLES: dict[str, list[Row]] = {
    "card 402 x3 left": [
        go(0, "/checkout"),
        *fields(3),
        click(15),
        answer(15.6, 402, 0.5),
        click(25),
        answer(25.6, 402, 0.5),
        click(34),
        answer(34.6, 402, 0.5),
        go(50, "/home"),
    ],
    "card 402 x2, paypal fails too": [
        go(0, "/checkout"),
        *fields(3),
        click(15),
        answer(15.6, 402, 0.5),
        click(25),
        answer(25.6, 402, 0.5),
        click(34, PPAL),
        answer(34.6, 500, 0.5, "/api/paypal"),
        click(40, PPAL),
        answer(40.6, 500, 0.5, "/api/paypal"),
        go(50, "/home"),
    ],
    "login 401 x4 left": [
        go(0, "/login"),
        *lform(2),
        *[x for i in range(4) for x in (click(8 + 7 * i, LB, "/login"), lg(8.5 + 7 * i, 401))],
        go(50, "/home"),
    ],
    "login 401 x4, google, back to login": [
        go(0, "/login"),
        *lform(2),
        *[x for i in range(4) for x in (click(8 + 7 * i, LB, "/login"), lg(8.5 + 7 * i, 401))],
        click(50, GOOG, "/login"),
        go(50.4, "/login", "link", external=1),
        go(60, "/login", "link"),
        end(70, "/login"),
    ],
    "422 x3 corrected never": [
        go(0, "/signup"),
        *fields(4, "/signup"),
        *[
            x
            for i in range(3)
            for x in (
                click(15 + 9 * i, LB, "/signup"),
                lg(15.5 + 9 * i, 422, "/signup"),
                field(19 + 9 * i, "f2", "/signup"),
            )
        ],
        go(60, "/home"),
    ],
}


def fail_often(button: Row | None = None, status: int = 502) -> list[Row]:
    """A form whose button fails five times, the last three in a burst."""
    return [
        go(0, "/cart"),
        go(2, "/checkout"),
        *fields(3),
        *[x for t in (15, 22, 26, 26.4, 26.8) for x in (click(t, button), answer(t + 0.2, status, 0.15))],
    ]


def take(target: Row, page: str, how: str = "push", wait: float = 0.5) -> list[Row]:
    """Another control of the form leads to a page."""
    return [click(34, target), go(34 + wait, page, how)]


CASH = {"target_type": "button", "target_id": "bar", "target_label": "Bar bezahlen"}
RADIO = {"target_type": "radio", "target_id": "facture", "target_label": "Sur facture"}
DRAFT = {"target_type": "button", "target_id": "b-77", "target_label": "下書き保存"}
LINK = {"target_type": "link", "target_id": "deals", "target_label": "Deals"}
HELP = {"target_type": "button", "target_id": "h", "target_label": "Hilfe"}
CALM |= {
    "502 x5, cash on delivery led on": [*fail_often(), *take(CASH, "/track"), go(60, "/track")],
    "502 x5, a choice that sends led on": [
        *fail_often(),
        *take(RADIO, "/commande/merci", "link", 0.9),
        go(60, "/home"),
    ],
    "offline x5, import led on": [*fail_often(status=0), *take(DRAFT, "/drafts"), end(60, "/drafts")],
    "422 x5, import led on": [*fail_often(status=422), *take(CASH, "/orders/list"), go(70, "/deals")],
    "other button's way led on": [*fail_often(BUY, 503), *take(CASH, "/account/orders", "replace"), go(60, "/home")],
}
STRUGGLES |= {
    "502 x5, a link to a new page": [*fail_often(), *take(LINK, "/deals"), go(60, "/home")],
    "502 x5, a button to a page shown before": [*fail_often(), *take(CASH, "/cart"), go(60, "/home")],
    "502 x5, help and back to the form": [*fail_often(), *take(HELP, "/hilfe"), go(50, "/checkout"), go(70, "/home")],
    "502 x5, a new form begun": [
        *fail_often(),
        *take(CASH, "/ticket"),
        field(38, "subject", "/ticket"),
        field(41, "text", "/ticket"),
        go(70, "/home"),
    ],
    "502 x5, the other way fails, too": [
        *fail_often(),
        click(34, CASH),
        answer(34.4, 500, 0.3, "/api/cash"),
        go(34.6, "/track", "push"),
        go(60, "/home"),
    ],
}
NOT_SEEN_TO_WORK = (
    *((name, "types only") for name in CALM if " x5, " in name),
    ("422 corrected accepted no nav", "failures only"),
    ("coupon refused twice, goes on and pays", "failures only"),
    ("coupon refused twice, goes on and pays", "types only"),
    ("card 402 x2, paypal external, order page", "failures only"),
    ("card 402 x2, paypal external, order page", "types only"),
    ("card 402 x2, invoice POST ok", "failures only"),
    ("card 402 x2, invoice on own page", "failures only"),
    ("login 401 x3, google external, dashboard", "types only"),
    ("login 401 x2, magic link page", "failures only"),
)
"""What these collectors report does not show that it worked."""
NOT_SEEN_TO_FAIL = tuple((name, "types only") for name in STRUGGLES if " x5, " in name)
"""Without names, the other button is the one that failed."""


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM, *NOT_SEEN_TO_WORK))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES, *NOT_SEEN_TO_FAIL))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0

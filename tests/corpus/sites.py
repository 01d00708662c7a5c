"""Made-up applications: their routes, controls and endpoints. Nothing here knows what a detector looks for."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

ROLES = ("submit", "next", "search", "login", "upload", "export", "save", "row", "add", "send", "more", "code")


@dataclass(frozen=True)
class Control:
    """What a person acts on. `stem` is the part of the id that is common to all rows of a table."""

    id: str
    label: str
    tag: str = "button"
    type: str = "button"
    scope: str = "main"

    @property
    def stem(self) -> str:
        """The id without a per-row number."""
        return self.id.split(":")[0]


@dataclass(frozen=True)
class Action:
    """A control on a page, the request that it makes, and the page it leads to (empty: the same one)."""

    role: str
    route: str
    control: Control
    method: str
    url: str
    done: str


@dataclass(frozen=True)
class Site:
    """One application: `api` is rest, graphql or form; `ids` numeric, uuid, hex or slug; `naming` how targets are told."""

    name: str
    api: str
    ids: str
    naming: str
    home: str
    listing: str
    item: str
    help: str
    steps: tuple[str, ...]
    data: str
    poll: str
    actions: dict[str, Action]

    def new_id(self, rng: random.Random) -> str:
        """An entity's id in this application's style."""
        if self.ids == "numeric":
            return str(rng.randrange(1_000, 99_999))
        if self.ids == "uuid":
            h = f"{rng.getrandbits(128):032x}"
            return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"
        if self.ids == "hex":
            return f"{rng.getrandbits(96):024x}"
        return f"{rng.choice(['oak', 'brass', 'linen', 'slate', 'amber'])}-{rng.randrange(100, 9_999)}"

    def action(self, role: str, entity: str) -> Action:
        """The action of a role with the entity's id filled in."""
        a = self.actions[role]
        return replace(
            a,
            route=a.route.replace("{id}", entity),
            url=a.url.replace("{id}", entity),
            done=a.done.replace("{id}", entity),
        )


def _site(spec: str) -> Site:
    """Read a site: a line of names, a line of pages, a line of steps, then one line a role."""
    lines = [[part.strip() for part in line.split("|")] for line in spec.strip().splitlines()]
    name, api, ids, naming, data, poll = lines[0]
    home, listing, item, help_page = lines[1]
    actions = {}
    for role, route, ident, label, call, done in lines[3:]:
        method, url = call.split()
        tag = "a" if role == "export" and api == "form" else "button"
        scope = "form" if role in {"submit", "login", "save"} else ("table" if role == "row" else "main")
        control = Control(ident, label, tag, "link" if tag == "a" else "button", scope)
        actions[role] = Action(role, route, control, method, url, done)
    return Site(name, api, ids, naming, home, listing, item, help_page, tuple(lines[2]), data, poll, actions)


SITES = tuple(
    _site(spec)
    for spec in (
        """
        lantern | rest | slug | id | /api/v2/catalogue | /api/v2/cart/count
        / | /shop/lamps | /p/{id} | /help/delivery
        /checkout/address | /checkout/delivery | /checkout/review
        submit | /checkout/payment | pay-now | Pay now | POST /api/v2/orders | /checkout/thank-you
        next | /checkout/delivery | to-review | Continue | PUT /api/v2/checkout/step | /checkout/review
        search | /shop/lamps | search-go | Search | GET /api/v2/search |
        login | /account/sign-in | sign-in | Sign in | POST /api/v2/sessions | /account
        upload | /account/returns/{id} | add-photo | Add photo | POST /api/v2/returns/{id}/photos |
        export | /account/orders | get-invoice | Get invoice | GET /api/v2/orders/{id}/invoice |
        save | /account/details | save-details | Save details | PUT /api/v2/customers/me |
        row | /account/orders | cancel-order | Cancel | POST /api/v2/orders/{id}/cancel |
        add | /p/{id} | add-to-basket | Add to basket | POST /api/v2/cart/lines |
        send | /p/{id} | post-review | Post review | POST /api/v2/products/{id}/reviews |
        more | /shop/lamps | show-more | Show more | GET /api/v2/catalogue |
        code | /checkout/review | apply-voucher | Apply voucher | POST /api/v2/cart/voucher |
        """,
        """
        harbour | rest | numeric | selector | /rest/accounts | /rest/session/keepalive
        /overview | /accounts | /accounts/{id} | /support/faq
        /transfer/recipient | /transfer/amount | /transfer/check
        submit | /transfer/confirm | confirm-transfer | Confirm transfer | POST /rest/transfers | /transfer/receipt
        next | /transfer/amount | step-forward | Next | POST /rest/transfers/draft | /transfer/check
        search | /accounts/{id} | find-booking | Find | GET /rest/accounts/{id}/bookings |
        login | /login | login-submit | Log in | POST /rest/login | /overview
        upload | /documents/new | attach-file | Attach | POST /rest/documents |
        export | /accounts/{id} | statement-pdf | Statement as PDF | POST /rest/accounts/{id}/statements |
        save | /profile/limits | store-limits | Store limits | PATCH /rest/profile/limits |
        row | /standing-orders | stop-order | Stop | DELETE /rest/standing-orders/{id} |
        add | /accounts/{id} | add-favourite | Add favourite | POST /rest/favourites |
        send | /messages/new | send-message | Send | POST /rest/messages | /messages
        more | /accounts/{id} | older-bookings | Older bookings | GET /rest/accounts/{id}/bookings |
        code | /transfer/confirm | resend-tan | Send a new code | POST /rest/tan |
        """,
        """
        orchard | form | numeric | label | /doctors.json | /queue-position.json
        /welcome | /doctors | /doctors/{id} | /questions
        /booking/patient | /booking/reason | /booking/slot
        submit | /booking/confirm | book | Book the appointment | POST /booking/confirm | /booking/booked
        next | /booking/reason | forward | Next step | POST /booking/reason | /booking/slot
        search | /doctors | seek | Find a doctor | GET /doctors |
        login | /patients/login | enter | Enter | POST /patients/login | /patients/home
        upload | /patients/letters | hand-in | Hand in letter | POST /patients/letters |
        export | /patients/results/{id} | results | Download results | GET /patients/results/{id}.pdf |
        save | /patients/insurance | keep | Keep changes | POST /patients/insurance |
        row | /patients/appointments | call-off | Call off | POST /patients/appointments/{id}/cancel |
        add | /doctors/{id} | pick-slot | 10:20 | POST /doctors/{id}/slots |
        send | /patients/write | write | Send to the practice | POST /patients/messages | /patients/home
        more | /doctors | further | Further doctors | GET /doctors |
        code | /booking/confirm | sms | Text me a code | POST /booking/sms |
        """,
        """
        trellis | graphql | uuid | id | /graphql | /graphql
        /dashboard | /projects | /projects/{id} | /docs/getting-started
        /onboarding/team | /onboarding/plan | /onboarding/invite
        submit | /billing/upgrade | btn-upgrade | Upgrade plan | POST /graphql | /billing
        next | /onboarding/plan | btn-next | Next | POST /graphql | /onboarding/invite
        search | /projects | btn-search | Search | POST /graphql |
        login | /auth | btn-login | Continue | POST /graphql | /dashboard
        upload | /projects/{id}/files | btn-upload | Upload | POST /graphql |
        export | /reports/{id} | btn-export | Export CSV | POST /graphql |
        save | /projects/{id}/settings | btn-save | Save | POST /graphql |
        row | /members | btn-approve | Approve | POST /graphql |
        add | /projects/{id} | btn-add-task | Add task | POST /graphql |
        send | /projects/{id} | btn-comment | Comment | POST /graphql |
        more | /projects | btn-more | Load more | POST /graphql |
        code | /billing/upgrade | btn-coupon | Redeem | POST /graphql |
        """,
        """
        quay | rest | uuid | selector | /gw/trips | /gw/price-watch
        /en | /en/trips | /en/trips/{id} | /en/contact
        /en/trips/{id}/travellers | /en/trips/{id}/seats | /en/trips/{id}/extras
        submit | /en/trips/{id}/pay | book-and-pay | Book and pay | POST /gw/bookings | /en/bookings/{id}
        next | /en/trips/{id}/seats | seats-next | Next | PUT /gw/bookings/{id}/seats | /en/trips/{id}/extras
        search | /en | search-trips | Search trips | GET /gw/search |
        login | /en/login | do-login | Log in | POST /gw/auth/token | /en/me
        upload | /en/bookings/{id}/documents | upload-passport | Upload passport | POST /gw/bookings/{id}/documents |
        export | /en/bookings/{id} | ticket-download | Download ticket | GET /gw/bookings/{id}/ticket |
        save | /en/me | save-traveller | Save traveller | PUT /gw/travellers/{id} |
        row | /en/me/bookings | rebook | Change | POST /gw/bookings/{id}/change |
        add | /en/trips/{id} | choose-fare | Choose fare | POST /gw/offers/{id} |
        send | /en/contact | contact-send | Send request | POST /gw/tickets | /en/contact/thanks
        more | /en/trips | later-trips | Later trips | GET /gw/search |
        code | /en/trips/{id}/extras | use-voucher | Use voucher | POST /gw/vouchers |
        """,
        """
        townhall | form | numeric | bare | /services.json | /status.json
        /start | /services | /services/{id} | /services/advice
        /application/person | /application/address | /application/proof
        submit | /application/send | file | File the application | POST /application/send | /application/filed
        next | /application/address | next | Next | POST /application/address | /application/proof
        search | /services | go | Go | GET /services |
        login | /citizen/login | login | Log in | POST /citizen/login | /citizen
        upload | /application/proof | proof | Add proof | POST /application/proof |
        export | /citizen/notices/{id} | notice | Notice as PDF | GET /citizen/notices/{id}.pdf |
        save | /citizen/address | store | Store address | POST /citizen/address |
        row | /citizen/cases | withdraw | Withdraw | POST /citizen/cases/{id}/withdraw |
        add | /services/{id} | begin | Begin | POST /services/{id}/begin |
        send | /citizen/objection | object | Send objection | POST /citizen/objection | /citizen
        more | /services | more | More services | GET /services |
        code | /citizen/login | pin | Request PIN | POST /citizen/pin |
        """,
        """
        slate | graphql | hex | label | /api/graphql | /api/graphql
        /learn | /courses | /courses/{id} | /help
        /enrol/{id}/about | /enrol/{id}/level | /enrol/{id}/payment
        submit | /courses/{id}/assignment | hand-in | Hand in | POST /api/graphql | /courses/{id}
        next | /enrol/{id}/level | forward | Continue | POST /api/graphql | /enrol/{id}/payment
        search | /courses | look | Look up | POST /api/graphql |
        login | /signin | signin | Sign in | POST /api/graphql | /learn
        upload | /courses/{id}/assignment | attach | Attach file | POST /api/graphql |
        export | /certificates | certificate | Get certificate | POST /api/graphql |
        save | /me/preferences | save | Save preferences | POST /api/graphql |
        row | /teach/submissions | grade | Grade | POST /api/graphql |
        add | /courses/{id} | join | Join course | POST /api/graphql |
        send | /courses/{id}/forum | reply | Reply | POST /api/graphql |
        more | /courses | more | More courses | POST /api/graphql |
        code | /enrol/{id}/payment | coupon | Check coupon | POST /api/graphql |
        """,
        """
        depot | rest | hex | full | /svc/inventory | /svc/alerts
        /de/leitstand | /de/lager | /de/lager/{id} | /de/hilfe
        /de/versand/neu/ziel | /de/versand/neu/pakete | /de/versand/neu/termin
        submit | /de/versand/neu/pruefen | versand-ausloesen | Versand auslösen | POST /svc/shipments | /de/versand/{id}
        next | /de/versand/neu/pakete | weiter | Weiter | POST /svc/shipments/draft | /de/versand/neu/termin
        search | /de/lager | suchen | Suchen | GET /svc/inventory/search |
        login | /de/anmelden | anmelden | Anmelden | POST /svc/login | /de/leitstand
        upload | /de/lager/{id} | lieferschein | Lieferschein laden | PUT /svc/deliveries/{id}/note |
        export | /de/berichte | bericht-xlsx | Als Excel | POST /svc/reports/{id}/xlsx |
        save | /de/lager/{id} | bestand-speichern | Speichern | PATCH /svc/inventory/{id} |
        row | /de/versand | storno | Storno | DELETE /svc/shipments/{id} |
        add | /de/lager/{id} | reservieren | Reservieren | POST /svc/reservations |
        send | /de/lager/{id} | notiz | Notiz senden | POST /svc/inventory/{id}/notes |
        more | /de/lager | mehr | Mehr laden | GET /svc/inventory |
        code | /de/versand/neu/pruefen | tarif | Tarif prüfen | POST /svc/rates |
        """,
    )
)

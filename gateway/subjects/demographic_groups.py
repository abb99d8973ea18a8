"""Coarse groups of people, for one audit: sex, age band and region of a record, and nothing that names anybody.

The region is that of the UN's M49 standard, of the country of birth, else of the first nationality. Age bands begin
where prints may be taken (IRPR 12.2). What is not held, or not in a form that we know, is U or Unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from gateway.domain.person import FieldCode, Record

UNKNOWN: Final = "U"
NOWHERE: Final = "Unknown"
_BANDS: Final = (
    (80, "80+"),
    (60, "60-79"),
    (45, "45-59"),
    (30, "30-44"),
    (18, "18-29"),
    (14, "14-17"),
)
_SEXES: Final = MappingProxyType({"F": "F", "M": "M", "H": "M", "X": "X"})  # femme, homme
_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_COUNTRIES: Final = {
    "Africa": "AGO BDI BEN BFA BWA CAF CIV CMR COD COG COM CPV DJI DZA EGY ERI ESH ETH GAB GHA GIN GMB GNB GNQ KEN"
    " LBR LBY LSO MAR MDG MLI MOZ MRT MUS MWI MYT NAM NER NGA REU RWA SDN SEN SHN SLE SOM SSD STP SWZ SYC TCD TGO"
    " TUN TZA UGA ZAF ZMB ZWE IOT ATF",
    "Americas": "ABW AIA ARG ATG BES BHS BLM BLZ BMU BOL BRA BRB CAN CHL COL CRI CUB CUW CYM DMA DOM ECU FLK GLP GRD"
    " GRL GTM GUF GUY HND HTI JAM KNA LCA MAF MEX MSR MTQ NIC PAN PER PRI PRY SLV SPM SUR SXM TCA TTO URY USA VCT"
    " VEN VGB VIR SGS BVT",
    "Asia": "AFG ARE ARM AZE BGD BHR BRN BTN CHN CYP GEO HKG IDN IND IRN IRQ ISR JOR JPN KAZ KGZ KHM KOR KWT LAO LBN"
    " LKA MAC MDV MMR MNG MYS NPL OMN PAK PHL PRK PSE QAT SAU SGP SYR THA TJK TKM TLS TUR TWN UZB VNM YEM",
    "Europe": "ALA ALB AND AUT BEL BGR BIH BLR CHE CZE DEU DNK ESP EST FIN FRA FRO GBR GGY GIB GRC HRV HUN IMN IRL"
    " ISL ITA JEY LIE LTU LUX LVA MCO MDA MKD MLT MNE NLD NOR POL PRT ROU RUS SJM SMR SRB SVK SVN SWE UKR VAT",
    "Oceania": "ASM AUS CCK COK CXR FJI FSM GUM HMD KIR MHL MNP NCL NFK NIU NRU NZL PCN PLW PNG PYF SLB TKL TON TUV"
    " UMI VUT WLF WSM",
}
_REGIONS: Final[Mapping[str, str]] = {
    code: region for region, codes in _COUNTRIES.items() for code in codes.split()
}


def groups_of(record: Record, today: date) -> tuple[str, str, str]:
    """Return sex, age band and region of whom a record is about."""
    return _sex(record), _band(record, today), _region(record)


def _sex(record: Record) -> str:
    return _SEXES.get(_text(record, FieldCode.GENDER)[:1].upper(), UNKNOWN)


def _band(record: Record, today: date) -> str:
    found = _DATE.fullmatch(_text(record, FieldCode.DATE_OF_BIRTH))
    if found is None:
        return UNKNOWN
    year, month, day = (int(each or 1) for each in found.groups())  # the eldest who it may be
    age = today.year - year - ((today.month, today.day) < (month, day))
    return next((band for least, band in _BANDS if age >= least), UNKNOWN)


def _region(record: Record) -> str:
    countries = [_text(record, FieldCode.COUNTRY_OF_BIRTH), *sorted(record.status.nationalities)]
    return next((_REGIONS[each] for each in countries if each in _REGIONS), NOWHERE)


def _text(record: Record, code: FieldCode) -> str:
    datum = record.data.get(code)
    return "" if datum is None else datum.value.decode("utf-8", "replace")

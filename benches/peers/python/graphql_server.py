from enum import Enum

import strawberry
from fastapi import FastAPI
from strawberry.fastapi import GraphQLRouter
from strawberry.types import Info

from serving import ACCOUNT, is_known, serve


@strawberry.enum
class TierName(Enum):
    FREE = "FREE"
    STARTER = "STARTER"
    PRO = "PRO"
    ENTERPRISE = "ENTERPRISE"


@strawberry.enum
class ServiceStatus(Enum):
    ACTIVE = "ACTIVE"
    READ_ONLY = "READ_ONLY"
    SUSPENDED = "SUSPENDED"
    CANCELLED = "CANCELLED"


@strawberry.type
class CpuMetrics:
    percent: float | None


@strawberry.type
class RamMetrics:
    megabytes_used: float | None


@strawberry.type
class ActivityMetrics:
    api_calls_per_hour: int | None


@strawberry.type
class ResourceMetrics:
    cpu: CpuMetrics
    ram: RamMetrics
    activity: ActivityMetrics


@strawberry.type
class Account:
    id: strawberry.ID
    tier: TierName
    status: ServiceStatus
    metrics: ResourceMetrics


_METRICS = ACCOUNT["metrics"]
_ACCOUNT = Account(
    id=strawberry.ID(ACCOUNT["id"]),
    tier=TierName.ENTERPRISE,
    status=ServiceStatus.ACTIVE,
    metrics=ResourceMetrics(
        cpu=CpuMetrics(percent=_METRICS["cpu"]["percent"]),
        ram=RamMetrics(megabytes_used=_METRICS["ram"]["megabytesUsed"]),
        activity=ActivityMetrics(api_calls_per_hour=_METRICS["activity"]["apiCallsPerHour"]),
    ),
)


@strawberry.type
class Query:
    @strawberry.field
    async def me(self, info: Info) -> Account:
        if not is_known(info.context["request"].headers.get("authorization")):
            raise PermissionError("who are you?")
        return _ACCOUNT


app = FastAPI()
app.include_router(GraphQLRouter(strawberry.Schema(query=Query)), prefix="/graphql")
serve(app)

from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from serving import ACCOUNT, is_known, serve


class Cpu(BaseModel):
    percent: float | None


class Ram(BaseModel):
    megabytesUsed: float | None


class Activity(BaseModel):
    apiCallsPerHour: int | None


class Metrics(BaseModel):
    cpu: Cpu
    ram: Ram
    activity: Activity


class Account(BaseModel):
    id: str
    tier: str
    status: str
    metrics: Metrics


app = FastAPI()


@app.get("/me")
async def me(authorization: Annotated[str | None, Header()] = None) -> Account:
    if not is_known(authorization):
        raise HTTPException(status_code=401)
    return Account.model_validate(ACCOUNT)


serve(app)

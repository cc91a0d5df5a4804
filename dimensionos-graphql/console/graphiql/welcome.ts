/** What stands in a first tab. */
export const WELCOME = `# Ctrl-Enter runs the operation at the cursor. The book shows the documentation of the schema, the folder beside it
# puts operations together by clicking, and the clock lists what was run.

query Service {
  service {
    name
    version
    uptimeSeconds
  }
  tiers {
    tier
    cpuCores
    ramMegabytes
    storageGigabytes
    priceCentsPerMonth
    trialDays
  }
}

# To see an account, sign in, and put the access token that comes into the headers below:
# { "authorization": "Bearer <accessToken>" }
#
# mutation SignIn {
#   login(input: { identity: { email: "ada@example.org" }, password: "" }) {
#     tokens {
#       accessToken
#     }
#   }
# }
#
# query Me {
#   me {
#     tier
#     status
#     nextStep {
#       step
#       at
#     }
#   }
# }
#
# subscription Usage {
#   usage(intervalMs: 1000) {
#     at
#     cpu {
#       coresUsed
#     }
#     ram {
#       megabytesUsed
#     }
#   }
# }
`;

/** What stands in the headers at first: nothing that is sent. */
export const HEADERS = `{
  // "authorization": "Bearer "
}
`;

/** What stands in a first tab. */
export const WELCOME = `# Ctrl-Enter runs the operation at the cursor.
# On the left: the schema's documentation,
# operations put together by clicking, and what
# was run before.

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

# To see an account, sign in:
#
# mutation SignIn {
#   login(input: { identity: { email: "ada@example.org" }, password: "" }) {
#     tokens {
#       accessToken
#     }
#   }
# }
#
# Put the access token that comes into the headers
# below, as "Bearer …". Neither it nor a password is
# kept by this page.
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

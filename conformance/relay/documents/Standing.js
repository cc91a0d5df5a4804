// Whatever has an id, asked anew by it, and what changes it.
graphql`
  query StandingQuery($id: ID!) {
    node(id: $id) {
      __typename
      id
      ...Standing_account @alias
      ... on Session {
        current
      }
      ... on Violation {
        severity
      }
    }
  }
`;
graphql`
  fragment Standing_account on Account @refetchable(queryName: "StandingRefetchQuery") {
    tier
    status
    statusReason
    statusSince
    trial {
      daysLeft
    }
    allocation {
      ramMegabytes
    }
  }
`;
graphql`
  mutation StandingMutation($account: ID!, $status: ServiceStatus!, $reason: String!) {
    setServiceStatus(account: $account, status: $status, reason: $reason) {
      id
      ...Standing_account
    }
  }
`;
graphql`
  mutation StandingLoginMutation($input: LoginInput!) {
    login(input: $input) {
      account {
        id
      }
      tokens {
        accessToken
      }
    }
  }
`;

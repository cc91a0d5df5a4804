// A list that is paged, and asked anew from its account.
graphql`
  query ViolationsQuery($count: Int!) {
    me {
      id
      ...Violations_account @arguments(count: $count)
    }
  }
`;
graphql`
  fragment Violations_account on Account
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" })
  @refetchable(queryName: "ViolationsPageQuery") {
    violations(first: $count, after: $cursor) @connection(key: "Violations_violations") {
      edges {
        node {
          id
          ...Violations_violation
        }
      }
    }
  }
`;
graphql`
  fragment Violations_violation on Violation {
    kind
    state
    detectedAt
    statement {
      rule
      expiresAt
    }
    complaint {
      state
      missing
    }
  }
`;
// An operator's list of everybody's.
graphql`
  query ViolationsOfAllQuery($count: Int!, $cursor: String, $filter: ViolationFilterInput) {
    violations(first: $count, after: $cursor, filter: $filter)
      @connection(key: "ViolationsOfAll_violations", filters: ["filter"]) {
      edges {
        node {
          id
          accountId
          appeal {
            ground
          }
        }
      }
    }
  }
`;

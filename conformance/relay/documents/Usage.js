// What is watched.
graphql`
  subscription UsageSubscription {
    usage(intervalMs: 100) {
      at
      ram {
        megabytesUsed
      }
    }
  }
`;
graphql`
  subscription UsageEventsSubscription {
    accountEvents {
      __typename
      ... on StatusChanged {
        from
        to
      }
      ... on QuotaCrossed {
        resource
        percent
      }
      ... on ViolationRaised {
        violation {
          id
        }
      }
      ... on StepAhead {
        step
        daysBefore
      }
    }
  }
`;
